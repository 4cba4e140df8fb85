import { type Counter, EMPTY_COUNTER, type Limits } from "@routeplane/admission";
import { type Id, newId } from "@routeplane/domain";
import { createAdmission } from "../src/domain/admission/admission.ts";
import type { AppliedLimits } from "../src/domain/admission/applied-limits.ts";
import { createRecalls } from "../src/domain/admission/recalls.ts";
import { endOnCounters, type Reservation } from "../src/domain/admission/reservation.ts";
import type { EndReservation, Ledger, Outstanding } from "../src/domain/ports.ts";
import { isBudgetCentral, isRateLimitCentral } from "../src/domain/sessions/central-limits.ts";
import { createGatewaySessions } from "../src/domain/sessions/gateway-sessions.ts";
import { type Dimension, type GrantState, type SliceMap, sliceName } from "../src/domain/sessions/grants.ts";
import type { ReportStore, SessionStore, SliceStore } from "../src/domain/sessions/ports.ts";
import { RateSharers } from "../src/domain/sessions/rate-sharers.ts";
import { type LimitSet, settleOnCounters, sumOf } from "../src/domain/sessions/reports.ts";
import { outstandingOf, reservedBySlice, useSlice } from "../src/domain/sessions/slice.ts";

/** Limits of one binding. */
export interface SimulatedBinding {
  readonly bindingId: Id<"bnd">;
  readonly limits: Limits;
  readonly shadow?: boolean;
}

/** True if no slices of one of the limits are granted. */
export function isAnyCentral(bindings: readonly SimulatedBinding[]): boolean {
  return bindings.some(
    ({ limits: { budget, rateLimit } }) =>
      (budget !== undefined && isBudgetCentral(budget)) || (rateLimit !== undefined && isRateLimitCentral(rateLimit)),
  );
}

const TTL_MS = 900_000;

/** Policy service whose counters are in memory. Each call happens as a whole. */
export function simulatePolicy(bindings: readonly SimulatedBinding[], announce: (ids: readonly Id<"bnd">[]) => void) {
  const limits = new Map(bindings.map((each) => [each.bindingId, each.limits]));
  const counters = new Map<Id<"bnd">, Counter>(bindings.map(({ bindingId }) => [bindingId, EMPTY_COUNTER]));
  const slicesOf = new Map<Id<"gws">, SliceMap>();
  const limitSets = new Map<string, LimitSet>();
  const reservations = new Map<Id<"req">, Reservation>();
  const monotonic = () => performance.now();
  const rateSharers = new RateSharers(monotonic);

  const slicesIn = (sessionId: Id<"gws">): SliceMap => {
    const known = slicesOf.get(sessionId) ?? new Map();
    slicesOf.set(sessionId, known);
    return known;
  };
  const sessions: SessionStore = {
    renew: async () => "open",
    leave: async () => "ended",
    close: async () => {},
    open: async () => [],
    end: async () => false,
    closedLately: async () => [],
    deleteClosed: async () => 0,
  };
  const slices: SliceStore = {
    async acquire(sessionId, _namespaceId, requests, decide) {
      const othersOn = (bindingId: Id<"bnd">, dimension: Dimension): number => {
        if (dimension !== "money" && dimension !== "concurrent") return 0;
        return [...slicesOf].filter(([id, of]) => {
          const slice = of.get(sliceName(bindingId, dimension))?.slice;
          return id !== sessionId && slice !== undefined && outstandingOf(slice) > 0n;
        }).length;
      };
      const state: GrantState = { nowMs: Date.now(), counters, limits, slices: slicesIn(sessionId), othersOn };
      const grants = requests.map((request) => decide(state, request.counters));
      for (const [index, { limitSet, counters: requested }] of requests.entries()) {
        if (grants[index]?.granted !== true) continue;
        const idsOf = (dimension: Dimension) =>
          requested.flatMap((each) => (each.dimension === dimension ? [each.bindingId] : []));
        limitSets.set(`${sessionId} ${limitSet}`, {
          budgetBindingIds: idsOf("money"),
          requestBindingIds: idsOf("requests"),
          tokenBindingIds: idsOf("tokens"),
          slotBindingIds: idsOf("concurrent"),
        });
      }
      return { state: "open", grants };
    },
    async release(sessionId) {
      for (const { bindingId, dimension, slice } of slicesIn(sessionId).values()) {
        const counter = counters.get(bindingId) ?? EMPTY_COUNTER;
        const reserved = reservedBySlice(slice);
        if (dimension === "money")
          counters.set(bindingId, { ...counter, reservedNano: counter.reservedNano - reserved });
      }
      slicesOf.delete(sessionId);
    },
    namespacesOf: async () => [],
    totals: async () => [],
  };
  const reports: ReportStore = {
    async apply(_namespaceId, all) {
      const nowMs = Date.now();
      for (const report of all) {
        const set = limitSets.get(`${report.sessionId} ${report.limitSet}`);
        if (set === undefined || report.sessionId === undefined) {
          if (report.end.kind === "settled") await admission.settle(report, report.end);
          else await admission.void(report, report.end.kind === "released" && report.end.neverSent);
          continue;
        }
        const sum = sumOf([report]);
        const ofSession = slicesIn(report.sessionId);
        settleOnCounters(counters, set, sum, {
          chargedAtMs: nowMs,
          nowMs,
          releasedBy(bindingId) {
            const name = sliceName(bindingId, "money");
            const entry = ofSession.get(name);
            if (entry === undefined) return 0n;
            const slice = useSlice(entry.slice, sum.usedNano);
            ofSession.set(name, { ...entry, slice });
            return reservedBySlice(entry.slice) - reservedBySlice(slice);
          },
        });
      }
      return all.map(() => "done");
    },
    applyPlain: async (namespaces) => namespaces.map(() => new Set()),
  };

  const applied = (): AppliedLimits[] =>
    bindings.map(({ bindingId, limits: of, shadow = false }) => ({
      policyId: POLICY_ID,
      policyName: "limit",
      bindingId,
      principal: { type: "namespace", id: NAMESPACE_ID },
      limits: of,
      shadow,
      counter: counters.get(bindingId) ?? EMPTY_COUNTER,
    }));
  const outstanding = (): ReadonlyMap<Id<"bnd">, Outstanding> =>
    new Map(
      bindings.map(({ bindingId }) => {
        const sum = (dimension: "money" | "concurrent") =>
          [...slicesOf.values()].reduce((total, of) => {
            const slice = of.get(sliceName(bindingId, dimension))?.slice;
            return slice === undefined ? total : total + outstandingOf(slice);
          }, 0n);
        return [bindingId, { nano: sum("money"), slots: sum("concurrent") }];
      }),
    );
  const end = async ({ requestId }: { readonly requestId: Id<"req"> }, by: EndReservation): Promise<void> => {
    const reservation = reservations.get(requestId);
    const change = reservation && by(reservation, new Date());
    if (reservation === undefined || change === undefined) return;
    for (const [id, counter] of endOnCounters(counters, reservation, change, new Date())) counters.set(id, counter);
    reservations.set(requestId, { ...reservation, state: change.state, endedAt: new Date() });
  };
  const ledger: Ledger = {
    async admit({ key }, decide) {
      const { result, reservation } = decide({
        now: new Date(),
        bindings: applied(),
        outstanding: outstanding(),
        reservation: reservations.get(key.requestId),
        idempotencyKeyUsedBy: undefined,
        isExpiryDue: false,
      });
      if (reservation !== undefined) {
        const { bindings: counted, ...amounts } = reservation;
        for (const { bindingId, counter } of counted) counters.set(bindingId, counter);
        const idsOf = (limit: "budget" | "rateLimit") =>
          counted.filter(({ limits: of }) => of[limit] !== undefined).map(({ bindingId }) => bindingId);
        reservations.set(key.requestId, {
          ...amounts,
          keyId: key.keyId,
          requestId: key.requestId,
          budgetBindingIds: idsOf("budget"),
          rateBindingIds: idsOf("rateLimit"),
          state: "open",
          endedAt: undefined,
        });
      }
      return result;
    },
    settle: end,
    void: end,
    expireDue: async () => {},
  };
  const recalls = createRecalls({
    announce: async (ids) => announce(ids),
    withoutRateSlices: (bindingId, counter) => rateSharers.withoutSlices(bindingId, counter),
    monotonic,
    onWait: () => {},
  });
  const admission = createAdmission(ledger, TTL_MS, recalls);
  const gatewaySessions = createGatewaySessions({
    sessions,
    slices,
    reports,
    rateSharers,
    onFault: ({ cause }) => {
      throw cause;
    },
  });
  return { admission, gatewaySessions, counters };
}

export const NAMESPACE_ID = newId("ns");
const POLICY_ID = newId("pol");
