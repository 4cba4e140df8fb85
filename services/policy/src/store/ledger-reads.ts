import type { BudgetWindow } from "@routeplane/admission";
import { type Id, microToNano } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, type Selectable, sql } from "kysely";
import type { AppliedBudget, Hold } from "../domain/hold.ts";
import type { BudgetSpec } from "../domain/policy.ts";
import type { HoldKey } from "../domain/ports.ts";
import { fromHoldRow, fromPrincipalColumns } from "./rows.ts";
import type { PolicySchema } from "./schema.ts";
import { fromSpecColumns } from "./spec-columns.ts";

type Tx = Transaction<PolicySchema>;

/** The window of a budget whose counter is locked. */
export interface LockedWindow {
  readonly bindingId: Id<"bnd">;
  readonly window: BudgetWindow;
}

/** A budget whose counter is locked; what was spent on it is not read yet. */
export type LockedBudget = Omit<AppliedBudget, "spentNano">;

export interface Since {
  readonly bindingId: Id<"bnd">;
  readonly since: Date;
}

interface AppliedRow {
  readonly binding_id: Id<"bnd">;
  readonly principal_type: AppliedBudget["principal"]["type"];
  readonly principal_id: AppliedBudget["principal"]["id"];
  readonly policy_id: Id<"pol">;
  readonly name: string;
  readonly kind: string;
  readonly spec: unknown;
  readonly reserved_nano: bigint | null;
  readonly now: Date;
}

/**
 * Locks the counters of every enabled budget that is enforced on one of these principals.
 *
 * @throws Error if one of them cannot be read or counted: the request must be refused
 */
export async function lockApplied(tx: Tx, namespaceId: Id<"ns">, principalIds: readonly string[]) {
  const { rows } = await sql<AppliedRow>`
    with applied as (
      select b.id as binding_id, b.principal_type, b.principal_id, p.id as policy_id, p.name, p.kind, p.spec
      from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
      where b.namespace_id = ${namespaceId} and b.principal_id = any(${principalIds}) and p.disabled_at is null
        and p.kind = 'budget' and b.mode = 'enforce'
    ), locked as materialized (
      select binding_id, reserved_nano from budget_counters
      where namespace_id = ${namespaceId} and binding_id = any(array(select binding_id from applied))
      order by binding_id for no key update
    )
    select applied.*, locked.reserved_nano, clock_timestamp() as now
    from applied left join locked using (binding_id) order by binding_id`.execute(tx);
  const budgets = rows.map((row): LockedBudget => {
    if (row.reserved_nano === null) throw new CounterGone(`binding ${row.binding_id} has no counter`);
    const { window, limitMicroUsd } = budgetOf(row);
    return {
      bindingId: row.binding_id,
      principal: fromPrincipalColumns(row),
      policyId: row.policy_id,
      policyName: row.name,
      window,
      limitNano: microToNano(limitMicroUsd),
      reservedNano: row.reserved_nano,
    };
  });
  return { budgets, now: latest(rows) ?? new Date(0) };
}

function budgetOf(row: Parameters<typeof fromSpecColumns>[0]): BudgetSpec {
  const spec = fromSpecColumns(row);
  if (spec.kind !== "budget") throw new Error("a policy that is counted as a budget is none");
  return spec;
}

/** A binding was removed while its counter was waited for; or it never had one. */
export class CounterGone extends Error {
  override readonly name = "CounterGone";
}

/** What was spent on each budget since then, whether the request has a hold, and whether the namespace has overdue ones. */
export async function readSpent(tx: Tx, { namespaceId, requestId }: HoldKey, sinces: readonly Since[]) {
  const { rows } = await sql<{ binding_id: string | null; spent: string; known: boolean; overdue: boolean }>`
    select w.binding_id,
      (select coalesce(sum(k.spent_nano), 0)::text from budget_buckets k
       where k.namespace_id = ${namespaceId} and k.binding_id = w.binding_id and k.bucket_start >= w.since) as spent,
      exists (select from holds where namespace_id = ${namespaceId} and request_id = ${requestId}) as known,
      exists (select from holds where namespace_id = ${namespaceId} and state = 'open'
              and expires_at <= clock_timestamp()) as overdue
    from (select) always
    left join unnest(${sinces.map(({ bindingId }) => bindingId)}::text[], ${sinces.map(({ since }) => since)}::timestamptz[])
      as w (binding_id, since) on true`.execute(tx);
  const byBinding = new Map(rows.map((row) => [row.binding_id, BigInt(row.spent)]));
  const spentNano = (bindingId: Id<"bnd">): bigint => {
    const spent = byBinding.get(bindingId);
    if (spent === undefined) throw new Error(`the spend of binding ${bindingId} was not read`);
    return spent;
  };
  const { known = false, overdue = false } = rows[0] ?? {};
  return { spentNano, known, overdue };
}

/** Locks the counters of every budget that these holds are on. `now` is undefined if there are none. */
export async function lockHeld(
  tx: Tx,
  namespaceId: Id<"ns">,
  which: RawBuilder<unknown>,
): Promise<{ readonly windows: readonly LockedWindow[]; readonly now: Date | undefined }> {
  const { rows } = await sql<{ binding_id: Id<"bnd">; kind: string; spec: unknown; now: Date }>`
    with locked as materialized (
      select binding_id from budget_counters
      where namespace_id = ${namespaceId}
        and binding_id = any(array(select unnest(binding_ids) from holds where namespace_id = ${namespaceId} and ${which}))
      order by binding_id for no key update
    )
    select locked.binding_id, p.kind, p.spec, clock_timestamp() as now
    from locked
    join bindings b on b.namespace_id = ${namespaceId} and b.id = locked.binding_id
    join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id`.execute(tx);
  const windows = rows.map((row) => ({ bindingId: row.binding_id, window: budgetOf(row).window }));
  return { windows, now: latest(rows) };
}

/** Those of the bindings that have a counter. */
export async function readCounters(
  tx: Tx,
  namespaceId: Id<"ns">,
  bindingIds: readonly Id<"bnd">[],
): Promise<readonly Id<"bnd">[]> {
  if (bindingIds.length === 0) return [];
  const { rows } = await sql<{ binding_id: Id<"bnd"> }>`
    select binding_id from budget_counters
    where namespace_id = ${namespaceId} and binding_id = any(${bindingIds})`.execute(tx);
  return rows.map((row) => row.binding_id);
}

export async function readClock(tx: Tx): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(tx);
  return rows[0]?.now ?? new Date(0);
}

export async function readHolds(tx: Tx, namespaceId: Id<"ns">, which: RawBuilder<unknown>): Promise<readonly Hold[]> {
  const { rows } = await sql<Selectable<PolicySchema["holds"]>>`
    select * from holds where namespace_id = ${namespaceId} and ${which}`.execute(tx);
  return rows.map(fromHoldRow);
}

export function ofRequest({ requestId }: HoldKey): RawBuilder<unknown> {
  return sql`request_id = ${requestId}`;
}

/** Open holds whose time is over, the longest overdue first. */
export function overdueIn(namespaceId: Id<"ns">, atMost: number): RawBuilder<unknown> {
  return sql`request_id in (
    select request_id from holds
    where namespace_id = ${namespaceId} and state = 'open' and expires_at <= clock_timestamp()
    order by expires_at limit ${atMost})`;
}

/** The moment at which the last row was read, and so the last lock was held. */
function latest(rows: readonly { readonly now: Date }[]): Date | undefined {
  return rows.reduce<Date | undefined>((last, { now }) => (last === undefined || now > last ? now : last), undefined);
}
