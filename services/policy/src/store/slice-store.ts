/**
 * Slices of gateway sessions in Postgres: parts of counters that are set aside, and counted as reserved on them.
 *
 * Steps of an acquisition, in one transaction: lock the session, so that it does not end meanwhile, and the counters in order of
 * binding id; read policies and slices, which change only under those locks; decide; write counters, slices and limit sets in one
 * statement. So what is outstanding never exceeds what its counter has as reserved, over any number of processes.
 */
import type { Counter, Limits } from "@routeplane/admission";
import { DomainError, type Id } from "@routeplane/domain";
import { andCommit, type Database, type Transaction } from "@routeplane/postgres";
import { type RawBuilder, type Selectable, sql } from "kysely";
import { limitsOf } from "../domain/admission/applied-limits.ts";
import {
  type CounterRequest,
  type Dimension,
  type GrantState,
  type SliceMap,
  sliceName,
} from "../domain/sessions/grants.ts";
import type { SliceGrant, SliceRequest, SliceStore, SliceTotal } from "../domain/sessions/ports.ts";
import type { LimitSet } from "../domain/sessions/reports.ts";
import type { SessionState } from "../domain/sessions/session.ts";
import { reservedBySlice } from "../domain/sessions/slice.ts";
import { fromSpecColumns } from "./convert-spec.ts";
import { fromCounterRow } from "./counters.ts";
import { counterChanges, writeCounters } from "./ledger-writes.ts";
import type { PolicySchema } from "./schema.ts";
import {
  fromJoinedSlice,
  type JoinedSlice,
  limitSetName,
  lockSlices,
  readLimitSets,
  writeSlices,
} from "./slice-rows.ts";

type Tx = Transaction<PolicySchema>;

/** Number of namespaces of a session that are read at once. */
const NAMESPACES_SIZE = 100;

export function createSliceStore(database: Database<PolicySchema>): SliceStore {
  return {
    acquire: (sessionId, namespaceId, requests, decide) =>
      database.within({ namespaceId }, async (tx) => {
        const bindingIds = [...new Set(requests.flatMap(({ counters }) => counters.map((each) => each.bindingId)))];
        const locked = await lockCountersOfSession(tx, sessionId, namespaceId, bindingIds);
        if (locked.state !== "open") return { state: locked.state, grants: [] };
        const state = await readGrantState(tx, sessionId, namespaceId, locked);
        const before = new Map(locked.counters);
        const slicesBefore = new Map(state.slices);
        const grants = requests.map(({ counters }) => decide(state, counters));
        const changed = [...state.counters].filter(([id, counter]) => before.get(id) !== counter);
        const sliced = [...state.slices].flatMap(([name, each]) =>
          slicesBefore.get(name)?.slice === each.slice ? [] : [{ ...each, sessionId }],
        );
        const sets = await newLimitSets(tx, sessionId, namespaceId, requests, grants);
        const written = sql`
          with ${writeCounters(namespaceId, counterChanges(before, changed))}, ${writeSlices(namespaceId, sliced)},
            ${writeLimitSets(sessionId, namespaceId, sets)}
          insert into session_namespaces (namespace_id, session_id)
          select ${namespaceId}, ${sessionId} where ${sets.length + sliced.length > 0} on conflict do nothing`;
        await andCommit(written).execute(tx);
        return { state: "open", grants };
      }),

    release: (sessionId, namespaceId) =>
      database.within({ namespaceId }, async (tx) => {
        const rows = await tx
          .selectFrom("slices")
          .select("binding_id")
          .distinct()
          .where("namespace_id", "=", namespaceId)
          .where("session_id", "=", sessionId)
          .execute();
        const { counters, slices } = await lockSlices(
          tx,
          namespaceId,
          rows.map((row) => row.binding_id),
          [sessionId],
        );
        const before = new Map(counters);
        for (const { bindingId, dimension, slice } of slices) {
          const counter = counters.get(bindingId);
          if (counter !== undefined)
            counters.set(bindingId, withoutReserved(counter, dimension, reservedBySlice(slice)));
        }
        const ofSession = (table: "slices" | "limit_sets" | "session_namespaces") =>
          sql`delete from ${sql.table(table)} where namespace_id = ${namespaceId} and session_id = ${sessionId}`;
        await sql`
          with ${writeCounters(namespaceId, counterChanges(before, counters))},
            freed as (${ofSession("slices")}), forgotten as (${ofSession("limit_sets")})
          ${ofSession("session_namespaces")}`.execute(tx);
      }),

    namespacesOf: (sessionId, after) =>
      database.within({ node: true }, async (tx) => {
        const { rows } = await sql<{ id: Id<"ns"> }>`
          select namespaces_of_session(${sessionId}, ${after ?? ""}, ${NAMESPACES_SIZE}) as id`.execute(tx);
        return rows.map(({ id }) => id);
      }),

    totals: () =>
      database.within({ node: true }, async (tx) => {
        const { rows } = await sql<SliceTotal>`
          select dimension, outstanding, held_back as "heldBack" from slice_totals()`.execute(tx);
        return rows;
      }),
  };
}

function withoutReserved(counter: Counter, dimension: "money" | "concurrent", amount: bigint): Counter {
  return dimension === "money"
    ? { ...counter, reservedNano: counter.reservedNano - amount }
    : { ...counter, openReservations: counter.openReservations - amount };
}

interface LockedCounters {
  readonly state: SessionState;
  readonly counters: Map<Id<"bnd">, Counter>;
  readonly now: Date;
}

/** Locks the session for share, then, if it is open, the counters. */
async function lockCountersOfSession(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  bindingIds: readonly Id<"bnd">[],
): Promise<LockedCounters> {
  type Row = Selectable<PolicySchema["counters"]> & { state: SessionState | null; is_left: boolean | null; now: Date };
  const { rows } = await sql<Omit<Row, "binding_id"> & { readonly binding_id: Id<"bnd"> | null }>`
    with session as materialized (
      select state, left_at is not null as is_left from gateway_sessions where id = ${sessionId} for share
    ), locked as materialized (
      select * from counters where namespace_id = ${namespaceId}
        and binding_id = any(case when (select state = 'open' and not is_left from session) then ${bindingIds}::text[] end)
      order by binding_id for no key update
    )
    select session.*, locked.*, clock_timestamp() as now
    from (select) always left join session on true left join locked on true`.execute(tx);
  const [first] = rows;
  const state = first?.state ?? "ended";
  return {
    state: state === "open" && first?.is_left === true ? "ended" : state,
    counters: new Map(rows.flatMap((row) => (row.binding_id === null ? [] : [[row.binding_id, fromCounterRow(row)]]))),
    now: rows.at(-1)?.now ?? new Date(0),
  };
}

interface GrantRow extends JoinedSlice, Pick<Selectable<PolicySchema["policies"]>, "kind" | "spec" | "disabled_at"> {
  readonly id: Id<"bnd">;
  readonly policy_id: Id<"pol">;
  /** Number of other sessions with a slice. */
  readonly money_others: bigint;
  readonly concurrent_others: bigint;
}

/** Reads limits and slices of locked counters. A statement of its own, so that it sees what those that held the locks have written. */
async function readGrantState(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  { counters, now }: LockedCounters,
): Promise<GrantState> {
  const { rows } = await sql<GrantRow>`
    select b.id, b.policy_id, p.kind, p.spec, p.disabled_at, others.*,
      s.session_id, s.dimension, s.granted, s.returned, s.used, s.doubt, s.held_back
    from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
    cross join lateral (
      select count(*) filter (where dimension = 'money') as money_others,
        count(*) filter (where dimension = 'concurrent') as concurrent_others
      from slices where namespace_id = b.namespace_id and binding_id = b.id and session_id <> ${sessionId}
        and granted > returned + used
    ) as others
    left join slices s on s.namespace_id = b.namespace_id and s.binding_id = b.id and s.session_id = ${sessionId}
    where b.namespace_id = ${namespaceId} and b.id = any(${[...counters.keys()]})`.execute(tx);
  const limits = new Map<Id<"bnd">, Limits>();
  const slices: SliceMap = new Map();
  const others = new Map<string, number>();
  for (const row of rows) {
    const ofBinding = row.disabled_at === null ? limitsOf(fromSpecColumns(row.policy_id, row)) : undefined;
    if (ofBinding !== undefined) limits.set(row.id, ofBinding);
    others.set(sliceName(row.id, "money"), Number(row.money_others));
    others.set(sliceName(row.id, "concurrent"), Number(row.concurrent_others));
    if (row.dimension === null) continue;
    slices.set(sliceName(row.id, row.dimension), {
      bindingId: row.id,
      dimension: row.dimension,
      slice: fromJoinedSlice(row),
    });
  }
  const othersOn = (bindingId: Id<"bnd">, dimension: Dimension): number => others.get(`${bindingId} ${dimension}`) ?? 0;
  return { nowMs: now.getTime(), counters, limits, slices, othersOn };
}

interface NewLimitSet extends LimitSet {
  readonly limitSet: number;
}

/**
 * Limit sets of granted requests that are not stored yet.
 *
 * @throws DomainError FAILED_PRECONDITION if the session has other counters under a number
 */
async function newLimitSets(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  requests: readonly SliceRequest[],
  grants: readonly SliceGrant[],
): Promise<readonly NewLimitSet[]> {
  const wanted = new Map<number, NewLimitSet>();
  for (const [index, { limitSet, counters }] of requests.entries()) {
    if (limitSet === 0 || grants[index]?.granted !== true) continue;
    const set = { limitSet, ...limitSetOf(counters) };
    requireSame(wanted.get(limitSet), set);
    wanted.set(limitSet, set);
  }
  if (wanted.size === 0) return [];
  const keys = [...wanted.keys()].map((limitSet) => ({ sessionId, limitSet }));
  const stored = await readLimitSets(tx, namespaceId, keys);
  return [...wanted.values()].filter((set) => {
    const existing = stored.get(limitSetName({ sessionId, limitSet: set.limitSet }));
    requireSame(existing, set);
    return existing === undefined;
  });
}

function limitSetOf(counters: readonly CounterRequest[]): LimitSet {
  const idsOf = (dimension: Dimension) =>
    counters.flatMap((each) => (each.dimension === dimension ? [each.bindingId] : [])).toSorted();
  return {
    budgetBindingIds: idsOf("money"),
    requestBindingIds: idsOf("requests"),
    tokenBindingIds: idsOf("tokens"),
    slotBindingIds: idsOf("concurrent"),
  };
}

function requireSame(existing: LimitSet | undefined, set: NewLimitSet): void {
  if (existing === undefined) return;
  const text = ({ budgetBindingIds, requestBindingIds, tokenBindingIds, slotBindingIds }: LimitSet) =>
    [budgetBindingIds, requestBindingIds, tokenBindingIds, slotBindingIds].join(";");
  if (text(existing) === text(set)) return;
  const message = `the session has other counters under the limit set ${set.limitSet}`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

/** Insert of limit sets. JSON takes the arrays of several rows. */
function writeLimitSets(
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  sets: readonly NewLimitSet[],
): RawBuilder<unknown> {
  const rows = sets.map((set) => ({
    number: set.limitSet,
    budget_binding_ids: set.budgetBindingIds,
    request_binding_ids: set.requestBindingIds,
    token_binding_ids: set.tokenBindingIds,
    slot_binding_ids: set.slotBindingIds,
  }));
  return sql`sets as (
    insert into limit_sets (namespace_id, session_id, number, budget_binding_ids, request_binding_ids, token_binding_ids,
      slot_binding_ids)
    select ${namespaceId}, ${sessionId}, r.* from json_to_recordset(${JSON.stringify(rows)}::json) as r (number bigint,
      budget_binding_ids text[], request_binding_ids text[], token_binding_ids text[], slot_binding_ids text[]))`;
}
