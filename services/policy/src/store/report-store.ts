/**
 * Settlement reports in Postgres. Reports on budgets alone mostly take one statement, see `budgetReportsStatement`. Otherwise many requests
 * share one transaction of three round trips:
 *
 * 1. Lock the sessions, so that none is closed meanwhile, and insert the rows of requests that were admitted on slices. Only rows that were
 *    inserted are applied: the primary key is what makes each request count once.
 * 2. Lock the rows that existed (a repeated report, a request of this service's admission), if there are any.
 * 3. Lock the counters of all of them in order of binding id, and the slices.
 * 4. Write counters, slices and ended reservations in one statement.
 *
 * Rows are inserted and locked in order of key and request id, before counters, as everywhere. A release of a request without a row leaves a
 * mark at the end, so that an admission that is still on its way is refused.
 */
import type { Counter } from "@routeplane/admission";
import { type Id, idBound } from "@routeplane/domain";
import { andCommit, type Database, type Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { endOnCounters, type Reservation } from "../domain/admission/reservation.ts";
import type { ReportStore } from "../domain/sessions/ports.ts";
import {
  endReported,
  isOnSlices,
  type LimitSet,
  openedAt,
  type ReportOutcome,
  requestName,
  rowOf,
  SESSION_KEPT_MS,
  settleOnCounters,
  type SettlementReport,
  type SliceReport,
  sumOf,
} from "../domain/sessions/reports.ts";
import type { SessionState } from "../domain/sessions/session.ts";
import { reservedBySlice, useSlice } from "../domain/sessions/slice.ts";
import { type BudgetReportsRow, budgetReportsStatement } from "./budget-reports.ts";
import { lockReservations } from "./ledger-reads.ts";
import { counterChanges, type EndedReservation, endHoldRows, insertMarks, writeCounters } from "./ledger-writes.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";
import type { PolicySchema } from "./schema.ts";
import { type KeyedSlice, limitSetName, type LimitSets, lockSlices, readLimitSets, writeSlices } from "./slice-rows.ts";

type Tx = Transaction<PolicySchema>;

export function createReportStore(database: Database<PolicySchema>): ReportStore {
  const limitSets = new LimitSetCache();
  return {
    apply: (namespaceId, reports) =>
      retryOnConflict(() =>
        database.within({ namespaceId }, (tx) => applyAll({ tx, namespaceId, limitSets }, reports)),
      ),

    async applyPlain(namespaces) {
      const done = namespaces.map(() => new Set<string>());
      const sent = namespaces.flatMap(({ namespaceId, reports }, index) =>
        plainStatements(namespaceId, reports, limitSets).map((each) => ({ each, done: done[index] })),
      );
      if (sent.length === 0) return done;
      const answers = await database.each<BudgetReportsRow>(
        sent.map(({ each: { statement } }) => statement),
        LOCK_TIMEOUT_MS,
      );
      for (const [at, { each, done: ofNamespace }] of sent.entries()) {
        const answer = answers[at];
        const row = answer?.status === "fulfilled" ? answer.value[0] : undefined;
        if (row?.is_plain === true)
          for (const name of row.added ?? each.reports.map(requestName)) ofNamespace?.add(name);
      }
      return done;
    },
  };
}

/** Number of limit sets of a namespace from which on one transaction for all of them is less work than a statement each. */
const MAX_SETS = 4;

/** Statements for the reports of a namespace, one for each limit set; none for a set that is not of budgets alone. */
function plainStatements(namespaceId: Id<"ns">, reports: readonly SettlementReport[], limitSets: LimitSetCache) {
  const bySet = [...Map.groupBy(reports.filter(isOnSlices), limitSetName)];
  if (bySet.length >= MAX_SETS) return [];
  return bySet.flatMap(([name, ofSet]) => {
    const set = limitSets.known(namespaceId, ofSet).get(name);
    const statement = budgetReportsStatement(namespaceId, ofSet, set);
    return statement === undefined ? [] : [{ reports: ofSet, statement }];
  });
}

/** Maximum wait for a lock of one namespace: other namespaces on the connection wait as long. */
const LOCK_TIMEOUT_MS = 250;

interface Context {
  readonly tx: Tx;
  readonly namespaceId: Id<"ns">;
  readonly limitSets: LimitSetCache;
}

async function applyAll(context: Context, reports: readonly SettlementReport[]): Promise<readonly ReportOutcome[]> {
  const { tx, namespaceId } = context;
  const sorted = reports.toSorted((a, b) => (requestName(a) < requestName(b) ? -1 : 1));
  const onSlices = sorted.filter(isOnSlices);
  const sets = await context.limitSets.read(tx, namespaceId, onSlices);
  const { states, added, at, isRefused } = await addRows(context, onSlices);
  const isOver = (report: SettlementReport) => isOnSlices(report) && states[report.sessionId] === "closed";
  const others = sorted.filter((each) => !added.has(requestName(each)) && !isOver(each) && !isRefused(each));
  const existing = others.length === 0 ? undefined : await lockReservations(tx, namespaceId, others);
  const ending = others.flatMap((report) => {
    const reservation = existing?.of(report);
    return reservation === undefined ? [] : [{ report, reservation }];
  });
  const charged = onSlices.filter((report) => added.has(requestName(report)));
  const unmarked = others.filter((each) => each.end.kind === "released" && existing?.of(each) === undefined);
  const isLast = unmarked.length === 0;
  await writeChanges(context, { charged, sets, ending, chargedAtMs: at.getTime(), isLast });
  const marked = unmarked.length === 0 ? new Set() : await insertMarks(tx, namespaceId, unmarked);
  const again = new Set(unmarked.filter((each) => !marked.has(requestName(each))));
  return reports.map((report) => (isRefused(report) ? "refused" : again.has(report) ? "again" : "done"));
}

interface AddedRows {
  /** States of the sessions that are known. */
  readonly states: Readonly<Record<Id<"gws">, SessionState>>;
  /** Names of the requests whose rows were inserted. */
  readonly added: ReadonlySet<string>;
  /** Moment of the rows. */
  readonly at: Date;
  readonly isRefused: (report: SettlementReport) => boolean;
}

/** Locks the sessions for share, and inserts the rows of requests on slices, in this order, unless their session is closed. */
async function addRows({ tx, namespaceId }: Context, reports: readonly SliceReport[]): Promise<AddedRows> {
  const at = new Date();
  if (reports.length === 0) return { states: {}, added: new Set(), at, isRefused: () => false };
  // An unknown session was deleted, or lost with its database. Deleted ones are older.
  const oldest = idBound("gws", at.getTime() - SESSION_KEPT_MS);
  const rows = reports.map(rowOf);
  // Sets are joined, not sent: the ids of a large one are stored compressed, and are not compressed again for each row (200 budgets: 42 us
  // of Postgres for a request instead of 97).
  const { rows: results } = await sql<{
    states: AddedRows["states"] | null;
    added: readonly string[] | null;
    at: Date;
  }>`
    with sessions as materialized (
      select id, state from gateway_sessions where id = any(${[...new Set(reports.map((each) => each.sessionId))]})
      order by id for share
    ), added as (
      insert into holds (namespace_id, key_id, request_id, budget_binding_ids, rate_binding_ids, amount_nano, tokens,
        output_tokens_max, opened_at, expires_at, state, closed_at, cost_nano)
      select ${namespaceId}, r.key_id, r.request_id, coalesce(l.budget_binding_ids, '{}'), coalesce(l.token_binding_ids, '{}'),
        r.amount_nano, r.tokens, 0, r.opened_at, now.at, r.state, now.at, r.cost_nano
      from (select clock_timestamp() as at) as now, unnest(
        ${reports.map(({ keyId }) => keyId)}::text[], ${reports.map(({ requestId }) => requestId)}::text[],
        ${reports.map(({ sessionId }) => sessionId)}::text[], ${reports.map(({ limitSet }) => limitSet)}::bigint[],
        ${reports.map(({ boundNano }) => boundNano)}::bigint[], ${reports.map(({ tokensMax }) => tokensMax)}::bigint[],
        ${reports.map((report) => openedAt(report, at).toISOString())}::timestamptz[],
        ${rows.map(({ state }) => state)}::text[], ${rows.map(({ costNano }) => costNano ?? null)}::bigint[]
      ) as r (key_id, request_id, session_id, number, amount_nano, tokens, opened_at, state, cost_nano)
      left join limit_sets l on l.namespace_id = ${namespaceId} and l.session_id = r.session_id and l.number = r.number
      left join sessions s on s.id = r.session_id
      where coalesce(s.state, case when r.session_id < ${oldest} then 'closed' else 'unknown' end) <> 'closed'
      order by r.key_id, r.request_id
      on conflict do nothing returning key_id, request_id, closed_at
    )
    select (select json_object_agg(id, state) from sessions) as states,
      case when (select count(*) from added) < ${reports.length} then array(select key_id || ' ' || request_id from added) end as added,
      (select max(closed_at) from added) as at`.execute(tx);
  const [result] = results;
  const states = result?.states ?? {};
  return {
    states,
    // Null means all of them.
    added: new Set(result?.added ?? reports.map(requestName)),
    at: result?.at ?? at,
    isRefused: (report) => isOnSlices(report) && states[report.sessionId] === undefined && report.sessionId < oldest,
  };
}

interface Changes {
  /** Reports whose rows were inserted. */
  readonly charged: readonly SliceReport[];
  readonly sets: LimitSets;
  /** Reports of requests that have a row, which is locked. */
  readonly ending: readonly { readonly report: SettlementReport; readonly reservation: Reservation }[];
  readonly chargedAtMs: number;
  /** True if the transaction writes nothing after it. */
  readonly isLast: boolean;
}

async function writeChanges(
  { tx, namespaceId }: Context,
  { charged, sets, ending, chargedAtMs, isLast }: Changes,
): Promise<void> {
  const bySet = Map.groupBy(charged, limitSetName);
  const bindingIds = new Set<Id<"bnd">>();
  for (const name of bySet.keys()) {
    const { budgetBindingIds = [], requestBindingIds = [], tokenBindingIds = [] } = sets.get(name) ?? {};
    for (const ids of [budgetBindingIds, requestBindingIds, tokenBindingIds]) for (const id of ids) bindingIds.add(id);
  }
  for (const { reservation } of ending)
    for (const ids of [reservation.budgetBindingIds, reservation.rateBindingIds])
      for (const id of ids) bindingIds.add(id);
  if (bindingIds.size === 0 && ending.length === 0) return;
  const sessionIds = [...new Set(charged.map(({ sessionId }) => sessionId))];
  const { counters: before, slices, now } = await lockSlices(tx, namespaceId, [...bindingIds], sessionIds);
  const money = new Map(
    slices.flatMap((each) => (each.dimension === "money" ? [[`${each.bindingId} ${each.sessionId}`, each]] : [])),
  );
  const used = new Map<string, KeyedSlice>();
  const ended: EndedReservation[] = [];
  let counters: ReadonlyMap<Id<"bnd">, Counter> = before;
  for (const { report, reservation } of ending) {
    const change = endReported(reservation, report.end, now);
    if (change === undefined) continue;
    ended.push({ reservation, change });
    counters = endOnCounters(counters, reservation, change, now);
  }
  const after = new Map(counters);
  for (const [name, reports] of bySet) {
    const [set, first] = [sets.get(name), reports[0]];
    if (set === undefined || first === undefined) continue;
    const sum = sumOf(reports);
    const releasedBy = (bindingId: Id<"bnd">): bigint => {
      const key = `${bindingId} ${first.sessionId}`;
      const keyed = used.get(key) ?? money.get(key);
      if (keyed === undefined) return 0n;
      const slice = useSlice(keyed.slice, sum.usedNano);
      used.set(key, { ...keyed, slice });
      return reservedBySlice(keyed.slice) - reservedBySlice(slice);
    };
    settleOnCounters(after, set, sum, { chargedAtMs, nowMs: now.getTime(), releasedBy });
  }
  const changed = [...after].filter(([id, counter]) => before.get(id) !== counter);
  const written = sql`${writeCounters(namespaceId, counterChanges(before, changed))}, ${writeSlices(namespaceId, [...used.values()])}`;
  const statement =
    ended.length === 0 ? sql`with ${written} select` : sql`with ${written} ${endHoldRows(namespaceId, ended, now)}`;
  await (isLast ? andCommit(statement) : statement).execute(tx);
}

/** Limit sets that were read. They never change. */
class LimitSetCache {
  readonly #sets = new Map<string, LimitSet>();
  /** Number beyond which all are read anew. */
  static readonly #MAX_SETS = 10_000;

  /** Limit sets of these reports; those that are not known are left out. */
  async read(tx: Tx, namespaceId: Id<"ns">, reports: readonly SliceReport[]): Promise<LimitSets> {
    if (this.#sets.size > LimitSetCache.#MAX_SETS) this.#sets.clear();
    const keys = new Map(reports.map((report) => [limitSetName(report), report]));
    const missing = [...keys].flatMap(([name, key]) => (this.#sets.has(`${namespaceId} ${name}`) ? [] : [key]));
    const read = missing.length === 0 ? [] : await readLimitSets(tx, namespaceId, missing);
    for (const [name, set] of read) this.#sets.set(`${namespaceId} ${name}`, set);
    return this.known(namespaceId, reports);
  }

  /** Limit sets of these reports that were read before. */
  known(namespaceId: Id<"ns">, reports: readonly SliceReport[]): LimitSets {
    const known = new Map<string, LimitSet>();
    for (const report of reports) {
      const name = limitSetName(report);
      const set = this.#sets.get(`${namespaceId} ${name}`);
      if (set !== undefined) known.set(name, set);
    }
    return known;
  }
}
