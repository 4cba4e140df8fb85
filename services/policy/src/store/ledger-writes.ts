import type { Counter } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { Hold, HoldChange } from "../domain/hold.ts";
import type { HoldKey, OpenedHold } from "../domain/ports.ts";
import { toRingColumn } from "./counter-columns.ts";
import type { LockedCounters } from "./ledger-reads.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** A hold and what becomes of it. */
export interface ClosedHold {
  readonly hold: Hold;
  readonly change: HoldChange;
}

/** A counter whose row is locked, and what it is to be. */
export interface CounterChange {
  readonly bindingId: Id<"bnd">;
  readonly before: Counter | undefined;
  readonly after: Counter;
}

/** A closed hold is kept this long after its time, for repeated calls and late settlements. */
const HOLD_RETENTION_HOURS = 24;

/** Closed holds that one call forgets at most: more than it leaves behind, so that they do not pile up. */
const FORGET_SIZE = 4;

/** Writes the counters, and the hold. Fails on `holds_pkey` if the request has one already. */
export async function openHold(
  tx: Tx,
  { namespaceId, keyId, requestId }: HoldKey,
  { amountNano, tokens, outputTokensMax, openedAt, expiresAt, bindings }: OpenedHold,
  counters: readonly CounterChange[],
): Promise<void> {
  const idsOf = (limit: "budget" | "rateLimit") =>
    bindings.filter(({ limits }) => limits[limit] !== undefined).map(({ bindingId }) => bindingId);
  await sql`
    with ${writeCounters(namespaceId, counters)}
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, rate_binding_ids, amount_nano, tokens,
      output_tokens_max, opened_at, expires_at, state)
    values (${namespaceId}, ${keyId}, ${requestId}, ${idsOf("budget")}, ${idsOf("rateLimit")}, ${amountNano}, ${tokens},
      ${outputTokensMax}, ${openedAt}, ${expiresAt}, 'open')
  `.execute(tx);
}

/** Leaves a voided hold on nothing. Fails on `holds_pkey` if the request has one by now. */
export async function voidUnopened(tx: Tx, { namespaceId, keyId, requestId }: HoldKey): Promise<void> {
  await sql`
    with ${forgetHolds(namespaceId)}
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, amount_nano, output_tokens_max, expires_at,
      state, closed_at)
    values (${namespaceId}, ${keyId}, ${requestId}, '{}', 0, 0, clock_timestamp(), 'voided', clock_timestamp())
  `.execute(tx);
}

/** The holds' new states, what that does to their counters, and what can be forgotten by then, in one statement. */
export async function writeClosed(
  tx: Tx,
  namespaceId: Id<"ns">,
  closed: readonly ClosedHold[],
  counters: readonly CounterChange[],
  now: Date,
): Promise<void> {
  await sql`
    with ${writeCounters(namespaceId, counters)}, ${forgetHolds(namespaceId)}
    update holds h set state = r.state, closed_at = ${now}, cost_nano = r.cost_nano
    from unnest(
      ${closed.map(({ hold }) => hold.keyId)}::text[],
      ${closed.map(({ hold }) => hold.requestId)}::text[],
      ${closed.map(({ change }) => change.state)}::text[],
      ${closed.map(({ change }) => change.costNano ?? null)}::bigint[]
    ) as r (key_id, request_id, state, cost_nano)
    where h.namespace_id = ${namespaceId} and h.key_id = r.key_id and h.request_id = r.request_id`.execute(tx);
}

export function counterChanges(
  before: LockedCounters,
  after: Iterable<readonly [Id<"bnd">, Counter]>,
): readonly CounterChange[] {
  return [...after].map(([bindingId, counter]) => ({ bindingId, before: before.get(bindingId), after: counter }));
}

function writeCounters(namespaceId: Id<"ns">, changes: readonly CounterChange[]): RawBuilder<unknown> {
  const rings = (name: "spend" | "requests" | "tokens") =>
    changes.map(({ before, after }) => toRingColumn(after[name], before?.[name]));
  return sql`counted as (
    update counters c set reserved_nano = r.reserved_nano, open_holds = r.open_holds,
      spend = coalesce(r.spend::bigint[], c.spend),
      requests = coalesce(r.requests::bigint[], c.requests),
      tokens = coalesce(r.tokens::bigint[], c.tokens)
    from unnest(
      ${changes.map(({ bindingId }) => bindingId)}::text[],
      ${changes.map(({ after }) => after.reservedNano)}::bigint[],
      ${changes.map(({ after }) => after.openHolds)}::bigint[],
      ${rings("spend")}::text[], ${rings("requests")}::text[], ${rings("tokens")}::text[]
    ) as r (binding_id, reserved_nano, open_holds, spend, requests, tokens)
    where c.namespace_id = ${namespaceId} and c.binding_id = r.binding_id)`;
}

/** A few closed holds that nobody can ask for any more. Those that another settlement is at need no waiting for. */
function forgetHolds(namespaceId: Id<"ns">): RawBuilder<unknown> {
  return sql`forgotten_holds as (
    delete from holds using (
      select key_id, request_id from holds
      where namespace_id = ${namespaceId} and state <> 'open'
        and expires_at < clock_timestamp() - make_interval(hours => ${HOLD_RETENTION_HOURS})
      order by expires_at limit ${FORGET_SIZE} for update skip locked
    ) as old
    where namespace_id = ${namespaceId} and holds.key_id = old.key_id and holds.request_id = old.request_id)`;
}
