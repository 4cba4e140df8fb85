/**
 * Holds what budgets were charged against the request log: every hold against its row, every row under a budget against its
 * hold, and every counter against its holds. In steps of a page each, so that a call ends in time and the next one goes on
 * where it stopped.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Id } from "@routeplane/domain";
import {
  type ChargedReservation,
  type ChargeDifference,
  compareCharge,
  type CounterDifference,
  type CounterReading,
  counterDifferencesOf,
  type LoggedCharge,
  type RequestKey,
} from "./charges.ts";
import type { KeyDirectory } from "../ports.ts";

export interface Range {
  readonly from: Date;
  readonly to: Date;
}

/** What budgets know of requests, one namespace at a time. */
export interface BudgetRecords {
  /** The first namespace after `after`, in order of id, that has anything. */
  nextNamespace(after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /** Those on budgets that were opened in a range, in order of key and request. */
  page(
    namespaceId: Id<"ns">,
    page: { readonly range: Range; readonly after: RequestKey | undefined; readonly size: number },
  ): Promise<readonly ChargedReservation[]>;
  of(namespaceId: Id<"ns">, keys: readonly RequestKey[]): Promise<readonly ChargedReservation[]>;
  /**
   * The namespaces and keys on which a budget is enforced that nobody has edited or switched on or off since `since`, each with
   * the moment from which on.
   */
  budgeted(namespaceId: Id<"ns">, since: Date): Promise<ReadonlyMap<string, Date>>;
  /** Of every binding, at one moment, with what was spent from about `from` on. */
  counters(namespaceId: Id<"ns">, from: Date): Promise<readonly CounterReading[]>;
}

/** What the usage service has logged of requests. @throws DomainError UNAVAILABLE */
export interface ChargeLog {
  nextNamespace(range: Range, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /** @param token of the page before; empty for the first */
  page(
    namespaceId: Id<"ns">,
    page: { readonly range: Range; readonly token: string; readonly size: number },
  ): Promise<{ readonly charges: readonly LoggedCharge[]; readonly nextToken: string }>;
  of(namespaceId: Id<"ns">, requestIds: readonly Id<"req">[]): Promise<readonly LoggedCharge[]>;
}

/** Where a call stopped, within a namespace. */
export interface ReconciliationCursor {
  readonly namespaceId: Id<"ns">;
  readonly part: "holds" | "requests" | "counters" | "end";
  /** In the part: a key and a request with a dot between, or a token of the log; empty: at its beginning. */
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
  counterCount: number;
  partialCounterCount: number;
  readonly charges: InNamespace<ChargeDifference>[];
  readonly counters: InNamespace<CounterDifference>[];
  /** Undefined: there is no more. */
  next: ReconciliationCursor | undefined;
}

export interface ReconciliationDependencies {
  readonly keys: KeyDirectory;
  readonly budgets: BudgetRecords;
  readonly log: ChargeLog;
}

export interface ReconciliationRequest {
  readonly range: Range;
  /** Whether the range goes on to now, so that counters can be held against it. */
  readonly withCounters: boolean;
  readonly now: Date;
  /** Undefined: from the beginning. */
  readonly cursor: ReconciliationCursor | undefined;
  /** No step begins after it. */
  readonly budgetMs: number;
}

const PAGE_SIZE = 1_000;
/** Clocks of gateways and of the database differ. */
const CLOCK_MARGIN_MS = 60_000;
/** An answer has an end. */
const MAX_DIFFERENCES = 1_000;
/** What differs is read again after each of these: events and settlements that were on their way arrive. */
const RECHECK_DELAYS_MS = [500, 1_500];

export async function reconcileBudgets(
  dependencies: ReconciliationDependencies,
  request: ReconciliationRequest,
): Promise<BudgetReconciliation> {
  const endsAt = performance.now() + request.budgetMs;
  const found: BudgetReconciliation = {
    namespaceCount: 0,
    requestCount: 0,
    runningCount: 0,
    counterCount: 0,
    partialCounterCount: 0,
    charges: [],
    counters: [],
    next: request.cursor,
  };
  do {
    const place =
      found.next === undefined || found.next.part === "end"
        ? await nextNamespace(dependencies, request.range, found.next?.namespaceId)
        : found.next;
    if (place === undefined) return { ...found, next: undefined };
    found.next = await reconcilePage(dependencies, request, place, found);
  } while (performance.now() < endsAt && found.charges.length + found.counters.length < MAX_DIFFERENCES);
  return found;
}

async function nextNamespace(
  { budgets, log }: ReconciliationDependencies,
  range: Range,
  after: Id<"ns"> | undefined,
): Promise<ReconciliationCursor | undefined> {
  const known = await Promise.all([budgets.nextNamespace(after), log.nextNamespace(range, after)]);
  const [namespaceId] = known.filter((id) => id !== undefined).toSorted();
  return namespaceId && { namespaceId, part: "holds", after: "" };
}

/** Does one page of a part. @returns where to go on */
async function reconcilePage(
  { budgets, log, keys }: ReconciliationDependencies,
  { range, withCounters, now }: ReconciliationRequest,
  { namespaceId, part, after }: ReconciliationCursor,
  found: BudgetReconciliation,
): Promise<ReconciliationCursor> {
  const compared = async (requests: readonly RequestKey[], isCounted: boolean): Promise<void> => {
    const { differences, running } = await compareAll({ budgets, log, keys }, namespaceId, requests, now);
    if (isCounted) found.requestCount += requests.length - running;
    if (isCounted) found.runningCount += running;
    found.charges.push(...differences.map((difference) => ({ namespaceId, difference })));
  };
  if (part === "holds") {
    const page = await budgets.page(namespaceId, { range, after: toRequestKey(after), size: PAGE_SIZE });
    await compared(page, true);
    const last = page.length === PAGE_SIZE ? page.at(-1) : undefined;
    if (last !== undefined) return { namespaceId, part, after: `${last.keyId}.${last.requestId}` };
    return { namespaceId, part: "requests", after: "" };
  }
  if (part === "requests") {
    const { charges, nextToken } = await log.page(namespaceId, { range, token: after, size: PAGE_SIZE });
    const charged = charges.filter(({ costNano }) => costNano > 0n);
    const held = new Set((await budgets.of(namespaceId, charged)).map(nameOf));
    const unheld = charged.filter((each) => !held.has(nameOf(each)));
    const budgeted = unheld.length === 0 ? new Map<string, Date>() : await budgets.budgeted(namespaceId, range.from);
    await compared(await filterBudgeted(budgeted, unheld, keys, namespaceId), false);
    if (nextToken !== "") return { namespaceId, part, after: nextToken };
    if (withCounters) return { namespaceId, part: "counters", after: "" };
  }
  if (part === "counters") {
    const readings = await budgets.counters(namespaceId, range.from);
    found.counterCount += readings.length;
    found.partialCounterCount += readings.filter(({ spent }) => spent?.max === undefined).length;
    found.counters.push(...readings.flatMap(counterDifferencesOf).map((difference) => ({ namespaceId, difference })));
  }
  found.namespaceCount++;
  return { namespaceId, part: "end", after: "" };
}

/** Those of the requests that a budget applied to. */
async function filterBudgeted(
  budgeted: ReadonlyMap<string, Date>,
  charges: readonly LoggedCharge[],
  keys: KeyDirectory,
  namespaceId: Id<"ns">,
): Promise<readonly LoggedCharge[]> {
  if (budgeted.size === 0) return [];
  const since = new Map<string, number>();
  for (const keyId of new Set(charges.map((each) => each.keyId))) {
    const { lineage } = (await keys.find(namespaceId, keyId)) ?? { lineage: [keyId] };
    const bound = [namespaceId, ...lineage].map((principal) => budgeted.get(principal)?.getTime() ?? Infinity);
    since.set(keyId, Math.min(...bound) + CLOCK_MARGIN_MS);
  }
  return charges.filter(({ keyId, createdAt }) => createdAt.getTime() > (since.get(keyId) ?? Infinity));
}

/** Of each request hold and rows. What differs is read again, and named if it still does. */
async function compareAll(
  { budgets, log }: ReconciliationDependencies,
  namespaceId: Id<"ns">,
  requests: readonly RequestKey[],
  now: Date,
): Promise<{ readonly differences: readonly ChargeDifference[]; readonly running: number }> {
  let running = 0;
  const compare = async (keys: readonly RequestKey[]): Promise<readonly ChargeDifference[]> => {
    if (keys.length === 0) return [];
    const ids = keys.map(({ requestId }) => requestId);
    // The log last: a row that is there while its hold is under way is the rare case.
    const held = new Map((await budgets.of(namespaceId, keys)).map((hold) => [nameOf(hold), hold]));
    const rows = Map.groupBy(await log.of(namespaceId, ids), nameOf);
    return keys.flatMap((key) => {
      const compared = compareCharge(held.get(nameOf(key)), rows.get(nameOf(key)) ?? [], now);
      if (compared === "running") running++;
      return compared === "running" || compared === undefined ? [] : [compared];
    });
  };
  let differences = await compare(requests);
  for (const waitMs of RECHECK_DELAYS_MS) {
    if (differences.length === 0) break;
    await delay(waitMs);
    differences = await compare(differences);
  }
  return { differences, running };
}

function nameOf({ keyId, requestId }: RequestKey): string {
  return `${keyId}.${requestId}`;
}

function toRequestKey(after: string): RequestKey | undefined {
  const [keyId, requestId] = after.split(".");
  return keyId && requestId ? { keyId: keyId as Id<"key">, requestId: requestId as Id<"req"> } : undefined;
}
