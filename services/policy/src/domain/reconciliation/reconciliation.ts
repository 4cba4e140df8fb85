/**
 * Reconciliation of budgets with the request log, for each namespace in three parts:
 *
 * 1. `reservations`: every reservation on a budget with the rows of its request. Those of services have no rows, and are only counted.
 * 2. `requests`: every row with a cost, under a key that a budget applies to, with its reservation.
 * 3. `counters`: every counter with its reservations and slices, and the sessions of those.
 *
 * A call does one page after another until its time is up, and returns a cursor from which the next call continues. Nothing is
 * locked. Charges that differ are read again together after each of `RECHECK_DELAYS_MS`, and reported only if they still differ.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Id } from "@routeplane/domain";
import type { KeyDirectory } from "../ports.ts";
import {
  type ChargedReservation,
  type ChargeDifference,
  compareCharge,
  type CounterDifference,
  counterDifferencesOf,
  type CounterReading,
  type LoggedCharge,
  type RequestKey,
  type SessionDifference,
} from "./charges.ts";

export interface Range {
  readonly from: Date;
  readonly to: Date;
}

/** Ledger's records of reservations and counters, one namespace at a time. */
export interface BudgetRecords {
  /** First namespace after `after`, in order of id, that has reservations or counters. */
  nextNamespace(after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /** Reservations on budgets that were opened in the range, in order of key and request. */
  page(
    namespaceId: Id<"ns">,
    page: { readonly range: Range; readonly after: RequestKey | undefined; readonly size: number },
  ): Promise<readonly ChargedReservation[]>;
  /** Reservations of these requests on budgets, in no order. */
  of(namespaceId: Id<"ns">, keys: readonly RequestKey[]): Promise<readonly ChargedReservation[]>;
  /**
   * Principals (namespace and key ids) with a budget that was enforced at all times since `since`, or since it was bound, each with the moment of
   * its first binding: its policy was not enabled or disabled, and no budget was added to it.
   */
  budgeted(namespaceId: Id<"ns">, since: Date): Promise<ReadonlyMap<string, Date>>;
  /** Readings of all counters in one snapshot, with the amounts spent from about `from` on. */
  counters(namespaceId: Id<"ns">, from: Date): Promise<readonly CounterReading[]>;
  /** Gateway sessions with something in the namespace that their state does not allow. */
  sessions(namespaceId: Id<"ns">): Promise<readonly SessionDifference[]>;
}

/** Request log of the usage service. Its methods throw DomainError UNAVAILABLE. */
export interface ChargeLog {
  /** First namespace after `after`, in order of id, that has rows in the range. */
  nextNamespace(range: Range, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /**
   * Rows that were created in the range.
   *
   * @param page its token is that of the page before; empty for the first
   */
  page(
    namespaceId: Id<"ns">,
    page: { readonly range: Range; readonly token: string; readonly size: number },
  ): Promise<{ readonly charges: readonly LoggedCharge[]; readonly nextToken: string }>;
  /** Rows of these requests, in no order. */
  of(namespaceId: Id<"ns">, requestIds: readonly Id<"req">[]): Promise<readonly LoggedCharge[]>;
}

/** Position from which a reconciliation continues. */
export interface ReconciliationCursor {
  readonly namespaceId: Id<"ns">;
  /** `end` if the namespace is done. */
  readonly part: "reservations" | "requests" | "counters" | "end";
  /** Position in the part: key and request id with a dot between, or a page token of the log; empty for its beginning. */
  readonly after: string;
}

export interface InNamespace<Difference> {
  readonly namespaceId: Id<"ns">;
  readonly difference: Difference;
}

export interface BudgetReconciliation {
  namespaceCount: number;
  requestCount: number;
  runningCount: number;
  /** Requests of services, which are in no request log. */
  serviceCount: number;
  counterCount: number;
  partialCounterCount: number;
  readonly charges: InNamespace<ChargeDifference>[];
  readonly counters: InNamespace<CounterDifference>[];
  readonly sessions: InNamespace<SessionDifference>[];
  /** Undefined if the reconciliation is complete. */
  next: ReconciliationCursor | undefined;
}

export interface ReconciliationDependencies {
  readonly keys: KeyDirectory;
  readonly budgets: BudgetRecords;
  readonly log: ChargeLog;
  /** Charges requests of lost gateway sessions that were recorded late. */
  readonly sweepSessions: () => Promise<void>;
}

export interface ReconciliationRequest {
  readonly range: Range;
  /** True if the range ends now, so that counters can be compared with it. */
  readonly withCounters: boolean;
  readonly now: Date;
  /** Undefined for the beginning. */
  readonly cursor: ReconciliationCursor | undefined;
  /** Time after which no further page begins. */
  readonly timeLimitMs: number;
}

const PAGE_SIZE = 1_000;
/** Largest difference between the clocks of gateways and of the database. */
const CLOCK_MARGIN_MS = 60_000;
/** Number of differences after which no further page is read. */
const MAX_DIFFERENCES = 1_000;
/** Waits before charges that differ are read again. Their sum is longer than the 5 s within which a gateway reports a request. */
const RECHECK_DELAYS_MS = [500, 1_500, 4_000];

/** Requests of a namespace whose charges differ. */
interface DifferingCharges {
  readonly namespaceId: Id<"ns">;
  readonly differences: readonly ChargeDifference[];
  /** True if the requests are included in `requestCount`. */
  readonly isCounted: boolean;
}

export async function reconcileBudgets(
  dependencies: ReconciliationDependencies,
  request: ReconciliationRequest,
): Promise<BudgetReconciliation> {
  const endsAt = performance.now() + request.timeLimitMs;
  if (request.cursor === undefined) await dependencies.sweepSessions();
  const result: BudgetReconciliation = {
    namespaceCount: 0,
    requestCount: 0,
    runningCount: 0,
    serviceCount: 0,
    counterCount: 0,
    partialCounterCount: 0,
    charges: [],
    counters: [],
    sessions: [],
    next: request.cursor,
  };
  const differing: DifferingCharges[] = [];
  do {
    const cursor =
      result.next === undefined || result.next.part === "end"
        ? await nextNamespace(dependencies, request.range, result.next?.namespaceId)
        : result.next;
    result.next = cursor && (await reconcilePage(dependencies, request, cursor, result, differing));
  } while (
    result.next !== undefined &&
    performance.now() < endsAt &&
    differenceCount(result, differing) < MAX_DIFFERENCES
  );
  await compareAgain(dependencies, request.now, differing, result);
  return result;
}

function differenceCount({ counters, sessions }: BudgetReconciliation, differing: readonly DifferingCharges[]): number {
  return differing.reduce((sum, { differences }) => sum + differences.length, counters.length + sessions.length);
}

async function nextNamespace(
  { budgets, log }: ReconciliationDependencies,
  range: Range,
  after: Id<"ns"> | undefined,
): Promise<ReconciliationCursor | undefined> {
  const candidates = await Promise.all([budgets.nextNamespace(after), log.nextNamespace(range, after)]);
  const [namespaceId] = candidates.filter((id) => id !== undefined).toSorted();
  return namespaceId && { namespaceId, part: "reservations", after: "" };
}

/** Reconciles one page of a part, adding to `result` and `differing`. @returns the position from which to continue */
async function reconcilePage(
  dependencies: ReconciliationDependencies,
  { range, withCounters, now }: ReconciliationRequest,
  { namespaceId, part, after }: ReconciliationCursor,
  result: BudgetReconciliation,
  differing: DifferingCharges[],
): Promise<ReconciliationCursor> {
  const { budgets, log, keys } = dependencies;
  const compare = async (requests: readonly RequestKey[], isCounted: boolean): Promise<void> => {
    const { differences, running, unlogged } = await compareAll(dependencies, namespaceId, requests, now);
    if (isCounted) {
      result.requestCount += requests.length;
      countOthers(result, running, unlogged);
    }
    if (differences.length > 0) differing.push({ namespaceId, differences, isCounted });
  };
  if (part === "reservations") {
    const page = await budgets.page(namespaceId, { range, after: parseRequestKey(after), size: PAGE_SIZE });
    await compare(page, true);
    const last = page.length === PAGE_SIZE ? page.at(-1) : undefined;
    if (last !== undefined) return { namespaceId, part, after: formatRequestKey(last) };
    return { namespaceId, part: "requests", after: "" };
  }
  if (part === "requests") {
    const { charges, nextToken } = await log.page(namespaceId, { range, token: after, size: PAGE_SIZE });
    const charged = charges.filter(({ costNano }) => costNano > 0n);
    const reserved = new Set((await budgets.of(namespaceId, charged)).map(formatRequestKey));
    const unreserved = charged.filter((charge) => !reserved.has(formatRequestKey(charge)));
    const budgeted =
      unreserved.length === 0 ? new Map<string, Date>() : await budgets.budgeted(namespaceId, range.from);
    await compare(await filterBudgeted(unreserved, budgeted, keys, namespaceId), false);
    if (nextToken !== "") return { namespaceId, part, after: nextToken };
    if (withCounters) return { namespaceId, part: "counters", after: "" };
  }
  if (part === "counters") {
    const readings = await budgets.counters(namespaceId, range.from);
    result.counterCount += readings.length;
    result.partialCounterCount += readings.filter(({ spent }) => spent?.max === undefined).length;
    // One by one: a namespace can have more counters than a call can have arguments.
    for (const difference of readings.flatMap(counterDifferencesOf)) result.counters.push({ namespaceId, difference });
    for (const difference of await budgets.sessions(namespaceId)) result.sessions.push({ namespaceId, difference });
  }
  result.namespaceCount++;
  return { namespaceId, part: "end", after: "" };
}

/** Charges of requests that a budget applied to, on the namespace or on a key of the lineage. */
async function filterBudgeted(
  charges: readonly LoggedCharge[],
  budgeted: ReadonlyMap<string, Date>,
  keys: KeyDirectory,
  namespaceId: Id<"ns">,
): Promise<readonly LoggedCharge[]> {
  if (budgeted.size === 0) return [];
  const sinceMs = new Map<string, number>();
  for (const keyId of new Set(charges.map((charge) => charge.keyId))) {
    const { lineage } = (await keys.find(namespaceId, keyId)) ?? { lineage: [keyId] };
    const boundMs = [namespaceId, ...lineage].map((principal) => budgeted.get(principal)?.getTime() ?? Infinity);
    sinceMs.set(keyId, Math.min(...boundMs) + CLOCK_MARGIN_MS);
  }
  return charges.filter(({ keyId, createdAt }) => createdAt.getTime() > (sinceMs.get(keyId) ?? Infinity));
}

/** Moves requests that are running, or that only services know, from `requestCount` to the counts of their own. */
function countOthers(result: BudgetReconciliation, running: number, unlogged: number): void {
  result.requestCount -= running + unlogged;
  result.runningCount += running;
  result.serviceCount += unlogged;
}

/** Compares charges that differ until they agree, at most once after each delay, and adds those that still differ to `result`. */
async function compareAgain(
  dependencies: ReconciliationDependencies,
  now: Date,
  differing: readonly DifferingCharges[],
  result: BudgetReconciliation,
): Promise<void> {
  let remaining = differing;
  for (const delayMs of RECHECK_DELAYS_MS) {
    if (remaining.length === 0) return;
    await delay(delayMs);
    const still: DifferingCharges[] = [];
    for (const { namespaceId, differences: requests, isCounted } of remaining) {
      const { differences, running, unlogged } = await compareAll(dependencies, namespaceId, requests, now);
      if (isCounted) countOthers(result, running, unlogged);
      if (differences.length > 0) still.push({ namespaceId, differences, isCounted });
    }
    remaining = still;
  }
  for (const { namespaceId, differences } of remaining)
    for (const difference of differences) result.charges.push({ namespaceId, difference });
}

/** Compares the reservation of each request with its rows. */
async function compareAll(
  { budgets, log }: ReconciliationDependencies,
  namespaceId: Id<"ns">,
  requests: readonly RequestKey[],
  now: Date,
): Promise<{ readonly differences: readonly ChargeDifference[]; readonly running: number; readonly unlogged: number }> {
  let [running, unlogged] = [0, 0];
  const differences: ChargeDifference[] = [];
  if (requests.length === 0) return { differences, running, unlogged };
  const requestIds = requests.map(({ requestId }) => requestId);
  // The log is read last: a row that is there while its reservation is still open is the rare case.
  const reservations = new Map(
    (await budgets.of(namespaceId, requests)).map((reservation) => [formatRequestKey(reservation), reservation]),
  );
  const rows = Map.groupBy(await log.of(namespaceId, requestIds), formatRequestKey);
  for (const request of requests) {
    const name = formatRequestKey(request);
    const difference = compareCharge(reservations.get(name), rows.get(name) ?? [], now);
    if (difference === "running") running++;
    else if (difference === "unlogged") unlogged++;
    else if (difference !== undefined) differences.push(difference);
  }
  return { differences, running, unlogged };
}

function formatRequestKey({ keyId, requestId }: RequestKey): string {
  return `${keyId}.${requestId}`;
}

function parseRequestKey(text: string): RequestKey | undefined {
  const [keyId, requestId] = text.split(".");
  return keyId && requestId ? { keyId: keyId as Id<"key">, requestId: requestId as Id<"req"> } : undefined;
}
