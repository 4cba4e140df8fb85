/**
 * Settlement reports: ends of requests, each applied exactly once.
 *
 * A request admitted on slices has no row before it is reported: its report is its row, and what it changes on the counters of its limit
 * set is added up over all reports of the set (`sumOf`), so that a set of many counters costs no more per request than a small one. A request
 * that has a row, as those admitted by this service, ends as a reservation does (`endReported`).
 */
import { type Counter, type DatedAmount, endBudgetReservation, endRateLimitReservation } from "@routeplane/admission";
import { type Id, idTime, MAX_REQUEST_COST_NANO_USD } from "@routeplane/domain";
import {
  endUnknown,
  MAX_REQUEST_TOKENS,
  releaseReservation,
  type RequestUsage,
  type Reservation,
  type ReservationChange,
  settleReservation,
} from "../admission/reservation.ts";
import type { ReservationKey } from "../ports.ts";

/** End of a request: its usage, a release without a charge, or an end that nobody saw, charged in full. */
export type ReportedEnd =
  | ({ readonly kind: "settled" } & RequestUsage)
  | { readonly kind: "released"; readonly neverSent: boolean }
  | { readonly kind: "unknown" };

export interface SettlementReport extends ReservationKey {
  /** Session under which the request was admitted; undefined if it was admitted without one. */
  readonly sessionId: Id<"gws"> | undefined;
  /** Limit set of the session on whose slices it was admitted; 0: admitted by this service. */
  readonly limitSet: number;
  /** Moment at which its rate slices are counted; undefined if no rate limit applies. */
  readonly countedAtMs: number | undefined;
  readonly boundNano: bigint;
  readonly tokensMax: bigint;
  readonly end: ReportedEnd;
}

/** Report of a request that was admitted on slices. */
export interface SliceReport extends SettlementReport {
  readonly sessionId: Id<"gws">;
}

export function isOnSlices(report: SettlementReport): report is SliceReport {
  return report.limitSet > 0 && report.sessionId !== undefined;
}

/** Moment at which a request on slices counts as admitted: that of its rate slices, or else of its id. */
export function openedAt({ countedAtMs, requestId }: SettlementReport, now: Date): Date {
  return new Date(countedAtMs ?? Math.min(idTime(requestId), now.getTime()));
}

/**
 * Outcome of a report. `done`: applied, by this call or an earlier one; `refused`: can never be applied; `again`: not applied this time.
 */
export type ReportOutcome = "done" | "refused" | "again";

/** Counters of a lineage, under a number of a session: its bindings, by the dimension that they count. */
export interface LimitSet {
  readonly budgetBindingIds: readonly Id<"bnd">[];
  readonly requestBindingIds: readonly Id<"bnd">[];
  readonly tokenBindingIds: readonly Id<"bnd">[];
  readonly slotBindingIds: readonly Id<"bnd">[];
}

/** Longest time for which a session may report. */
export const SESSION_KEPT_MS = 30 * 86_400_000;

/** Fault of a report that can never be applied; undefined if there is none. */
export function faultOf({ boundNano, tokensMax, end, sessionId, limitSet }: SettlementReport): string | undefined {
  if (limitSet > 0 && sessionId === undefined) return "a limit set without a session";
  const cost = end.kind === "settled" ? end.costNano : 0n;
  const tokens = end.kind === "settled" ? end.tokens : 0n;
  if (cost > MAX_REQUEST_COST_NANO_USD || boundNano > MAX_REQUEST_COST_NANO_USD)
    return "a cost that no request can have";
  if (tokens > MAX_REQUEST_TOKENS || tokensMax > MAX_REQUEST_TOKENS)
    return "a number of tokens that no request can have";
  return undefined;
}

/** One report for each request; of several, the one with the most information. */
export function distinctReports(reports: readonly SettlementReport[]): readonly SettlementReport[] {
  const byRequest = new Map<string, SettlementReport>();
  for (const report of reports) {
    const name = requestName(report);
    const other = byRequest.get(name);
    if (other === undefined || RANKS[report.end.kind] > RANKS[other.end.kind]) byRequest.set(name, report);
  }
  return [...byRequest.values()];
}

const RANKS: Readonly<Record<ReportedEnd["kind"], number>> = { unknown: 0, released: 1, settled: 2 };

export function requestName({ keyId, requestId }: Pick<ReservationKey, "keyId" | "requestId">): string {
  return `${keyId} ${requestId}`;
}

/** Row of a request on slices that has ended. */
export function rowOf(
  report: SettlementReport,
): Pick<Reservation, "state"> & { readonly costNano: bigint | undefined } {
  const { end } = report;
  if (end.kind === "settled") return { state: "settled", costNano: end.costNano };
  return { state: end.kind === "unknown" ? "expired" : "voided", costNano: undefined };
}

/** Sum of the changes that requests on one limit set make to each of its counters. */
export interface SettlementSum {
  costNano: bigint;
  /** Part of the costs within the bounds: what the slice gives up. */
  usedNano: bigint;
  /** Unused requests and tokens by the moment at which they were counted; negative: more than was counted. */
  readonly requests: Map<number, bigint>;
  readonly tokens: Map<number, bigint>;
}

export function sumOf(reports: readonly SettlementReport[]): SettlementSum {
  const sum: SettlementSum = { costNano: 0n, usedNano: 0n, requests: new Map(), tokens: new Map() };
  for (const { end, boundNano, tokensMax, countedAtMs } of reports) {
    const costNano = end.kind === "settled" ? end.costNano : end.kind === "unknown" ? boundNano : 0n;
    sum.costNano += costNano;
    sum.usedNano += costNano < boundNano ? costNano : boundNano;
    if (countedAtMs === undefined || end.kind === "unknown") continue;
    add(sum.tokens, countedAtMs, end.kind === "settled" ? tokensMax - end.tokens : tokensMax);
    if (end.kind === "released" && end.neverSent) add(sum.requests, countedAtMs, 1n);
  }
  return sum;
}

function add(amounts: Map<number, bigint>, atMs: number, amount: bigint): void {
  amounts.set(atMs, (amounts.get(atMs) ?? 0n) + amount);
}

/** Changes counters by the sum of the requests on a limit set. Bindings without a counter are passed over. */
export function settleOnCounters(
  counters: Map<Id<"bnd">, Counter>,
  set: LimitSet,
  sum: SettlementSum,
  { chargedAtMs, nowMs, releasedBy }: SettlementMoment,
): void {
  const change = (bindingIds: readonly Id<"bnd">[], by: (counter: Counter, bindingId: Id<"bnd">) => Counter): void => {
    for (const id of bindingIds) {
      const counter = counters.get(id);
      if (counter !== undefined) counters.set(id, by(counter, id));
    }
  };
  const charge = { amount: sum.costNano, atMs: chargedAtMs };
  change(set.budgetBindingIds, (counter, id) =>
    endBudgetReservation(counter, { ...NO_END, charge, releaseNano: releasedBy(id) }, nowMs),
  );
  const takeBack = (dimension: "requests" | "tokens", amounts: Map<number, bigint>) => (counter: Counter) =>
    [...amounts].reduce((current, [atMs, amount]) => {
      const dated: DatedAmount = { amount: -amount, atMs };
      return endRateLimitReservation(current, { ...NO_END, [dimension]: dated }, nowMs);
    }, counter);
  change(set.requestBindingIds, takeBack("requests", sum.requests));
  change(set.tokenBindingIds, takeBack("tokens", sum.tokens));
}

const NO_END = { releaseNano: 0n, charge: undefined, tokens: undefined, requests: undefined, freesSlot: false };

export interface SettlementMoment {
  /** Moment of the rows, at which their costs count. */
  readonly chargedAtMs: number;
  readonly nowMs: number;
  /** Amount that the slice of a counter no longer reserves. */
  readonly releasedBy: (bindingId: Id<"bnd">) => bigint;
}

/** Change of a reservation whose request was reported; undefined for none. */
export function endReported(reservation: Reservation, end: ReportedEnd, now: Date): ReservationChange | undefined {
  if (end.kind === "settled") return settleReservation(reservation, end, now);
  return end.kind === "released" ? releaseReservation(reservation, end.neverSent) : endUnknown(reservation, now);
}
