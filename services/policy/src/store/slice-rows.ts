import type { Counter } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, type Selectable, sql } from "kysely";
import type { LimitSet } from "../domain/sessions/reports.ts";
import { NO_SLICE, type Slice, type SliceKey } from "../domain/sessions/slice.ts";
import { fromCounterRow } from "./counters.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;
type SliceRow = Selectable<PolicySchema["slices"]>;

/** Slice with its key. */
export interface KeyedSlice extends SliceKey {
  readonly slice: Slice;
}

/** Columns of a slice in a row of a left join: null if there is none. */
export type JoinedSlice = {
  readonly [Column in keyof Omit<SliceRow, "namespace_id" | "binding_id">]: SliceRow[Column] | null;
};

export function fromJoinedSlice(row: JoinedSlice): Slice {
  const { granted, returned, used, doubt, held_back: heldBack } = row;
  if (granted === null) return NO_SLICE;
  return { granted, returned: returned ?? 0n, used: used ?? 0n, doubt: doubt ?? 0n, heldBack: heldBack ?? 0n };
}

/** Upsert of slices whose counters are locked. */
export function writeSlices(namespaceId: Id<"ns">, slices: readonly KeyedSlice[]): RawBuilder<unknown> {
  return sql`sliced as (
    insert into slices (namespace_id, binding_id, session_id, dimension, granted, returned, used, doubt, held_back)
    select ${namespaceId}, r.* from unnest(
      ${slices.map(({ bindingId }) => bindingId)}::text[], ${slices.map(({ sessionId }) => sessionId)}::text[],
      ${slices.map(({ dimension }) => dimension)}::text[],
      ${slices.map(({ slice }) => slice.granted)}::bigint[], ${slices.map(({ slice }) => slice.returned)}::bigint[],
      ${slices.map(({ slice }) => slice.used)}::bigint[], ${slices.map(({ slice }) => slice.doubt)}::bigint[],
      ${slices.map(({ slice }) => slice.heldBack)}::bigint[]) as r
    on conflict (namespace_id, binding_id, session_id, dimension) do update
    set granted = excluded.granted, returned = excluded.returned, used = excluded.used, doubt = excluded.doubt,
      held_back = excluded.held_back)`;
}

/** Name of a limit set of a session. */
export interface LimitSetKey {
  readonly sessionId: Id<"gws">;
  readonly limitSet: number;
}

/** Reads limit sets of a namespace, by `limitSetName`. Those that do not exist are left out. */
export async function readLimitSets(tx: Tx, namespaceId: Id<"ns">, keys: readonly LimitSetKey[]): Promise<LimitSets> {
  const { rows } = await sql<Selectable<PolicySchema["limit_sets"]>>`
    select l.* from unnest(${keys.map(({ sessionId }) => sessionId)}::text[], ${keys.map(({ limitSet }) => limitSet)}::bigint[])
      as r (session_id, number)
    join limit_sets l on l.namespace_id = ${namespaceId} and l.session_id = r.session_id and l.number = r.number`.execute(
    tx,
  );
  return new Map(
    rows.map((row) => [
      limitSetName({ sessionId: row.session_id, limitSet: Number(row.number) }),
      {
        budgetBindingIds: row.budget_binding_ids,
        requestBindingIds: row.request_binding_ids,
        tokenBindingIds: row.token_binding_ids,
        slotBindingIds: row.slot_binding_ids,
      },
    ]),
  );
}

/** Limit sets by `limitSetName`. */
export type LimitSets = ReadonlyMap<string, LimitSet>;

export function limitSetName({ sessionId, limitSet }: LimitSetKey): string {
  return `${sessionId} ${limitSet}`;
}

/** Counters and slices whose rows are locked. */
export interface LockedSlices {
  readonly counters: Map<Id<"bnd">, Counter>;
  readonly slices: readonly KeyedSlice[];
  readonly now: Date;
}

/**
 * Locks counters in order of binding id, then the slices of these sessions on them, and reads both as they are once locked. A slice that is
 * made while this waits for its counter is not seen: callers look only for slices that existed before.
 */
export async function lockSlices(
  tx: Tx,
  namespaceId: Id<"ns">,
  bindingIds: readonly Id<"bnd">[],
  sessionIds: readonly Id<"gws">[],
): Promise<LockedSlices> {
  const { rows } = await sql<LockedRow>`
    with locked as materialized (
      select * from counters where namespace_id = ${namespaceId} and binding_id = any(${bindingIds})
      order by binding_id for no key update
    ), mine as materialized (
      select * from slices where namespace_id = ${namespaceId} and session_id = any(${sessionIds})
        and binding_id = any(array(select binding_id from locked)) for no key update
    )
    select locked.*, mine.session_id, mine.dimension, granted, returned, used, doubt, held_back, clock_timestamp() as now
    from (select) always left join locked on true left join mine on mine.binding_id = locked.binding_id`.execute(tx);
  const counters = new Map<Id<"bnd">, Counter>();
  const slices: KeyedSlice[] = [];
  for (const row of rows) {
    const { binding_id: bindingId, session_id: sessionId, dimension } = row;
    if (bindingId === null) continue;
    if (!counters.has(bindingId)) counters.set(bindingId, fromCounterRow(row));
    if (sessionId === null || dimension === null) continue;
    slices.push({ bindingId, sessionId, dimension, slice: fromJoinedSlice(row) });
  }
  return { counters, slices, now: rows.at(-1)?.now ?? new Date(0) };
}

type CounterRow = Selectable<PolicySchema["counters"]>;

interface LockedRow extends Omit<CounterRow, "binding_id">, JoinedSlice {
  readonly binding_id: Id<"bnd"> | null;
  readonly now: Date;
}
