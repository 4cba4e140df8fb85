import { type Counter } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { type RawBuilder, type Selectable, sql } from "kysely";
import type { EndingStore, LostSession, RunningRequest } from "../domain/sessions/endings.ts";
import { type LimitSet, requestName } from "../domain/sessions/reports.ts";
import { reservedBySlice, settleSlice, type Slice, useSlice } from "../domain/sessions/slice.ts";
import { readReservations } from "./ledger-reads.ts";
import { counterChanges, writeCounters } from "./ledger-writes.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";
import type { PolicySchema } from "./schema.ts";
import { type KeyedSlice, limitSetName, lockSlices, readLimitSets, writeSlices } from "./slice-rows.ts";

type Tx = Transaction<PolicySchema>;
type SessionRow = Pick<
  Selectable<PolicySchema["gateway_sessions"]>,
  "id" | "opened_at" | "ended_at" | "log_position" | "sweeps"
> & { readonly state: LostSession["state"] };

/** Number of sessions that are worked on in one run. */
const SESSIONS_SIZE = 100;
/** Longest life of a reservation that is made from the log, whatever the clock of its gateway said. */
const MAX_LIFE_SECS = 24 * 60 * 60;

const NOBODY = sql`(claimed_until is null or claimed_until < clock_timestamp())`;
const COLUMNS = sql`id, state, opened_at, coalesce(ended_at, clock_timestamp()) as ended_at, log_position, sweeps`;

/** Creates the store of the ends of sessions. Sessions are locked before counters, as everywhere. */
export function createEndingStore(database: Database<PolicySchema>): EndingStore {
  const read = (condition: RawBuilder<unknown>): Promise<readonly LostSession[]> =>
    database.within({}, async (tx) => {
      const { rows } = await sql<SessionRow>`
        select ${COLUMNS} from gateway_sessions where ${condition} and ${NOBODY}
        order by ended_at, id limit ${SESSIONS_SIZE}`.execute(tx);
      return rows.map(fromSessionRow);
    });
  const run = (statement: RawBuilder<unknown>): Promise<bigint> =>
    database.within({}, async (tx) => (await statement.execute(tx)).numAffectedRows ?? 0n);
  return {
    due: (sweepsAfterMs) =>
      read(sql`(state = 'ended' or (state = 'settled' and clock_timestamp() >= settled_at
        + coalesce((${sweepsAfterMs}::float8[])[sweeps + 1], 0) * interval '1 millisecond'))`),

    settledSessions: () => read(sql`state = 'settled'`),

    lost: () =>
      database.within({}, async (tx) => {
        const { rows } = await sql<{ ended: number; settled: number; oldest_secs: number }>`
          select count(*) filter (where state = 'ended')::integer as ended,
            count(*) filter (where state = 'settled')::integer as settled,
            coalesce(max(extract(epoch from clock_timestamp() - ended_at)) filter (where state = 'ended'), 0)::float8 as oldest_secs
          from gateway_sessions where state in ('ended', 'settled')`.execute(tx);
        const [{ ended, settled, oldest_secs: oldestSecs } = { ended: 0, settled: 0, oldest_secs: 0 }] = rows;
        return { ended, settled, oldestSecs };
      }),

    async claim(sessionId, forMs, isRenewal) {
      const claimed = await run(sql`
        update gateway_sessions set claimed_until = clock_timestamp() + ${forMs} * interval '1 millisecond'
        where id = ${sessionId} and state in ('ended', 'settled') and ${isRenewal ? sql`true` : NOBODY}`);
      return claimed > 0n;
    },

    async unclaim(sessionId) {
      await run(sql`update gateway_sessions set claimed_until = null where id = ${sessionId}`);
    },

    async ask(sessionId, position) {
      await run(sql`update gateway_sessions set log_position = ${position} where id = ${sessionId}`);
    },

    isSettledIn: (sessionId, namespaceId) =>
      database.within({ namespaceId }, async (tx) => {
        const row = await tx
          .selectFrom("session_namespaces")
          .select("settled_at")
          .where("namespace_id", "=", namespaceId)
          .where("session_id", "=", sessionId)
          .executeTakeFirst();
        return row === undefined || row.settled_at !== null;
      }),

    rowStates: (namespaceId, keys) =>
      database.within({ namespaceId }, async (tx) => {
        const { all } = await readReservations(tx, namespaceId, keys);
        return new Map(all.map((row) => [`${row.keyId} ${row.requestId}`, row.state]));
      }),

    reserve: (sessionId, namespaceId, requests) =>
      retryOnConflict(() =>
        database.within({ namespaceId }, async (tx) => {
          if (await isInState(tx, sessionId, ["ended", "settled"]))
            await reserveAll(tx, sessionId, namespaceId, requests);
        }),
      ),

    settleIn: (sessionId, namespaceId) =>
      database.within({ namespaceId }, async (tx) => {
        if (!(await isInState(tx, sessionId, ["ended"]))) return;
        const { rows } = await sql<{ settled_at: Date | null }>`
          select settled_at from session_namespaces where namespace_id = ${namespaceId} and session_id = ${sessionId}
          for update`.execute(tx);
        if (rows[0]?.settled_at !== null) return;
        await changeSlices(tx, sessionId, namespaceId, settleSlice);
        await sql`
          update session_namespaces set settled_at = clock_timestamp()
          where namespace_id = ${namespaceId} and session_id = ${sessionId}`.execute(tx);
      }),

    async settle(sessionId) {
      await run(sql`
        update gateway_sessions set state = 'settled', settled_at = clock_timestamp(), log_position = null
        where id = ${sessionId} and state = 'ended'`);
    },

    async sweep(sessionId, sweeps) {
      await run(sql`
        update gateway_sessions set sweeps = greatest(sweeps, ${sweeps}), swept_at = clock_timestamp(), log_position = null
        where id = ${sessionId} and state = 'settled'`);
    },

    giveUp: (sessionId, namespaceId) =>
      database.within({ namespaceId }, async (tx) => {
        if (!(await isInState(tx, sessionId, ["settled"]))) return 0n;
        const freed = await changeSlices(tx, sessionId, namespaceId, (slice) => ({ ...slice, heldBack: 0n }));
        const lost = freed.filter(({ nano }) => nano > 0n);
        if (lost.length > 0) await tell(tx, sessionId, namespaceId, lost);
        return lost.reduce((most, { nano }) => (nano > most ? nano : most), 0n);
      }),
  };
}

function fromSessionRow({ id, state, opened_at, ended_at, log_position, sweeps }: SessionRow): LostSession {
  const endedAt = ended_at ?? new Date();
  return { id, state, openedAt: opened_at, endedAt, askedAt: log_position ?? undefined, sweeps };
}

/** Locks a session for share, so that its state cannot change meanwhile. */
async function isInState(tx: Tx, sessionId: Id<"gws">, states: readonly string[]): Promise<boolean> {
  const { rows } = await sql<{ state: string }>`
    select state from gateway_sessions where id = ${sessionId} for share`.execute(tx);
  return rows[0] !== undefined && states.includes(rows[0].state);
}

/** Changes all slices of a session in a namespace, and what its counters count as reserved by them. @returns the amounts of money that are free */
async function changeSlices(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  change: (slice: Slice, dimension: KeyedSlice["dimension"]) => Slice,
): Promise<readonly { readonly bindingId: Id<"bnd">; readonly nano: bigint }[]> {
  const { rows } = await sql<{ id: Id<"bnd"> }>`
    select distinct binding_id as id from slices
    where namespace_id = ${namespaceId} and session_id = ${sessionId}`.execute(tx);
  const bindingIds = rows.map(({ id }) => id);
  const { counters, slices } = await lockSlices(tx, namespaceId, bindingIds, [sessionId]);
  const before = new Map(counters);
  const changed = slices.map((keyed) => ({ ...keyed, slice: change(keyed.slice, keyed.dimension) }));
  const freed = slices.map(({ bindingId, dimension, slice }, index) => {
    const amount = reservedBySlice(slice) - reservedBySlice(changed[index]?.slice ?? slice);
    const counter = counters.get(bindingId);
    if (counter !== undefined) counters.set(bindingId, lessReserved(counter, dimension, amount));
    return { bindingId, nano: dimension === "money" ? amount : 0n };
  });
  await sql`
    with ${writeCounters(namespaceId, counterChanges(before, counters))}, ${writeSlices(namespaceId, changed)}
    select`.execute(tx);
  return freed;
}

function lessReserved(counter: Counter, dimension: KeyedSlice["dimension"], amount: bigint): Counter {
  return dimension === "money"
    ? { ...counter, reservedNano: counter.reservedNano - amount }
    : { ...counter, openReservations: counter.openReservations - amount };
}

/** Writes an entry of the audit log for each binding whose held back amount is free again without a charge. */
async function tell(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  lost: readonly { readonly bindingId: Id<"bnd">; readonly nano: bigint }[],
): Promise<void> {
  await sql`
    insert into audit_entries
      (namespace_id, id, account_id, created_at, actor_type, actor_id, action, target_id, after, request_id, address)
    select ${namespaceId}, new_audit_id(), '', clock_timestamp(), 'service', '', 'slice.unaccounted', r.binding_id,
      jsonb_build_object('session_id', ${sessionId}::text, 'held_back_nano_usd', r.nano), '', ''
    from unnest(${lost.map(({ bindingId }) => bindingId)}::text[], ${lost.map(({ nano }) => nano)}::bigint[])
      as r (binding_id, nano)`.execute(tx);
}

interface Limits {
  readonly budgetBindingIds: readonly Id<"bnd">[];
  /** Bindings of any rate limit: on each a reservation has a slot. */
  readonly rateBindingIds: readonly Id<"bnd">[];
}

async function reserveAll(
  tx: Tx,
  sessionId: Id<"gws">,
  namespaceId: Id<"ns">,
  requests: readonly RunningRequest[],
): Promise<void> {
  const keys = requests.map(({ limitSet }) => ({ sessionId, limitSet }));
  const sets = await readLimitSets(tx, namespaceId, keys);
  const limitsOf = ({ limitSet }: RunningRequest): Limits => toLimits(sets.get(limitSetName({ sessionId, limitSet })));
  const inserted = await insertRunning(tx, namespaceId, requests, limitsOf);
  const added = requests.filter((request) => inserted.has(requestName(request)));
  const bindingIds = added.flatMap((request) => [
    ...limitsOf(request).budgetBindingIds,
    ...limitsOf(request).rateBindingIds,
  ]);
  const { counters, slices } = await lockSlices(tx, namespaceId, [...new Set(bindingIds)], [sessionId]);
  const before = new Map(counters);
  const money = new Map(slices.flatMap((each) => (each.dimension === "money" ? [[each.bindingId, each]] : [])));
  for (const request of added) {
    const { budgetBindingIds, rateBindingIds } = limitsOf(request);
    for (const id of budgetBindingIds) {
      const [counter, keyed] = [counters.get(id), money.get(id)];
      if (counter === undefined) continue;
      const slice = keyed && useSlice(keyed.slice, request.boundNano);
      const released = keyed && slice ? reservedBySlice(keyed.slice) - reservedBySlice(slice) : 0n;
      if (keyed && slice) money.set(id, { ...keyed, slice });
      counters.set(id, { ...counter, reservedNano: counter.reservedNano + request.boundNano - released });
    }
    for (const id of rateBindingIds) {
      const counter = counters.get(id);
      if (counter !== undefined) counters.set(id, { ...counter, openReservations: counter.openReservations + 1n });
    }
  }
  const changed = [...counters].filter(([id, counter]) => before.get(id) !== counter);
  await sql`
    with ${writeCounters(namespaceId, counterChanges(before, changed))}, ${writeSlices(namespaceId, [...money.values()])}
    select`.execute(tx);
}

function toLimits(set: LimitSet | undefined): Limits {
  if (set === undefined) return { budgetBindingIds: [], rateBindingIds: [] };
  const { budgetBindingIds, requestBindingIds, tokenBindingIds, slotBindingIds } = set;
  return {
    budgetBindingIds,
    rateBindingIds: [...new Set([...requestBindingIds, ...tokenBindingIds, ...slotBindingIds])].toSorted(),
  };
}

/** Inserts open rows, in order of key and request id. @returns the names of the requests that had no row */
async function insertRunning(
  tx: Tx,
  namespaceId: Id<"ns">,
  requests: readonly RunningRequest[],
  limitsOf: (request: RunningRequest) => Limits,
): Promise<ReadonlySet<string>> {
  const sorted = requests.toSorted((a, b) => (requestName(a) < requestName(b) ? -1 : 1));
  const rows = sorted.map((request) => ({
    key_id: request.keyId,
    request_id: request.requestId,
    budget_binding_ids: limitsOf(request).budgetBindingIds,
    rate_binding_ids: limitsOf(request).rateBindingIds,
    amount_nano: `${request.boundNano}`,
    tokens: `${request.tokensMax}`,
    opened_at: request.countedAtMs === undefined ? undefined : new Date(request.countedAtMs),
    expires_at: request.expiresAt,
  }));
  const { rows: inserted } = await sql<{ name: string }>`
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, rate_binding_ids, amount_nano, tokens,
      output_tokens_max, opened_at, expires_at, state)
    select ${namespaceId}, r.key_id, r.request_id, r.budget_binding_ids, r.rate_binding_ids, r.amount_nano, r.tokens, 0,
      coalesce(r.opened_at, now.at), least(coalesce(r.expires_at, now.at), now.at + make_interval(secs => ${MAX_LIFE_SECS})), 'open'
    from (select clock_timestamp() as at) as now, json_to_recordset(${JSON.stringify(rows)}::json) as r (
      key_id text, request_id text, budget_binding_ids text[], rate_binding_ids text[], amount_nano bigint, tokens bigint,
      opened_at timestamptz, expires_at timestamptz)
    order by r.key_id, r.request_id
    on conflict do nothing returning key_id || ' ' || request_id as name`.execute(tx);
  return new Set(inserted.map(({ name }) => name));
}
