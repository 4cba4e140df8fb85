/**
 * Gateway sessions: opening, renewal and close, slices for them, and reports of their requests.
 *
 * A call covers several namespaces, each of which is a transaction of its own; a few of them run at a time. A fault in one namespace holds
 * up no other: its requests are not granted, and its reports are to be made again. UNAVAILABLE is thrown only if nothing was done.
 */
import type { Id } from "@routeplane/domain";
import { grantSlices, type GrantState, isRate } from "./grants.ts";
import { inEachNamespace, isOutage } from "./despite-faults.ts";
import type { NamespaceReports, ReportStore, SessionStore, SliceGrant, SliceRequest, SliceStore } from "./ports.ts";
import type { RateSharers } from "./rate-sharers.ts";
import { distinctReports, faultOf, type ReportOutcome, requestName, type SettlementReport } from "./reports.ts";
import { decideRenewal, type Renewal, type SessionState } from "./session.ts";

export interface GatewaySessionsDependencies {
  readonly sessions: SessionStore;
  readonly slices: SliceStore;
  readonly reports: ReportStore;
  readonly rateSharers: RateSharers;
  /** Called with a fault that is not the caller's, and with a report that can never be applied. */
  readonly onFault: (fault: { readonly namespaceId: Id<"ns">; readonly cause: unknown }) => void;
}

export type GatewaySessions = ReturnType<typeof createGatewaySessions>;

/** Number of transactions of one call that run at a time. */
const CONCURRENT_NAMESPACES = 3;
/** Number of namespaces whose reports are applied together, so that a wait for a lock of one of them delays few. */
const MAX_TOGETHER = 32;
/** Number of transactions into which the reports of one namespace are divided at most, to find those that fail. */
const MAX_DIVISIONS = 24;

export function createGatewaySessions(dependencies: GatewaySessionsDependencies) {
  const { sessions, slices, reports: store, rateSharers, onFault } = dependencies;

  async function acquireIn(sessionId: Id<"gws">, namespaceId: Id<"ns">, requests: readonly SliceRequest[]) {
    const acquired = await slices.acquire(sessionId, namespaceId, requests, (state, counters) =>
      grantSlices(withRateSharers(state, sessionId), counters),
    );
    for (const [index, { counters }] of acquired.grants.entries())
      for (const [at, { rate }] of counters.entries()) {
        const request = requests[index]?.counters[at];
        if (rate === undefined || request === undefined || !isRate(request.dimension)) continue;
        rateSharers.add(request.bindingId, request.dimension, sessionId, rate);
      }
    return acquired;
  }

  function withRateSharers(state: GrantState, sessionId: Id<"gws">): GrantState {
    return {
      ...state,
      othersOn: (bindingId, dimension) =>
        isRate(dimension)
          ? rateSharers.othersOn(bindingId, dimension, sessionId)
          : state.othersOn(bindingId, dimension),
    };
  }

  /** Applies reports; if one of them makes that fail, applies each half by itself. */
  async function applyDivided(
    namespaceId: Id<"ns">,
    reports: readonly SettlementReport[],
    budget: { left: number },
  ): Promise<readonly ReportOutcome[]> {
    try {
      return await store.apply(namespaceId, reports);
    } catch (cause) {
      budget.left -= 2;
      if (isOutage(cause) || reports.length === 1 || budget.left < 0) {
        onFault({ namespaceId, cause });
        return reports.map(() => "again");
      }
      const middle = Math.ceil(reports.length / 2);
      const first = await applyDivided(namespaceId, reports.slice(0, middle), budget);
      return [...first, ...(await applyDivided(namespaceId, reports.slice(middle), budget))];
    }
  }

  /** Applies reports of several namespaces: those that need only additions together, the rest one namespace after the other. */
  async function applyTogether(
    namespaces: readonly NamespaceReports[],
  ): Promise<readonly (readonly [SettlementReport, ReportOutcome])[]> {
    let plain: readonly ReadonlySet<string>[];
    try {
      plain = await store.applyPlain(namespaces);
    } catch (cause) {
      for (const { namespaceId } of namespaces) onFault({ namespaceId, cause });
      return [];
    }
    const outcomes: [SettlementReport, ReportOutcome][] = [];
    for (const [index, { namespaceId, reports }] of namespaces.entries()) {
      const others = reports.filter((report) => plain[index]?.has(requestName(report)) !== true);
      for (const report of reports) outcomes.push([report, "done"]);
      if (others.length === 0) continue;
      const applied = await applyDivided(namespaceId, others, { left: MAX_DIVISIONS });
      for (const [at, report] of others.entries()) outcomes.push([report, applied[at] ?? "again"]);
    }
    return outcomes;
  }

  return {
    renew: (renewal: Renewal): Promise<SessionState> => sessions.renew(renewal, decideRenewal),

    /** Grants slices. @returns the state of the session, and the answers in order; undefined for a request that was not processed */
    async acquire(
      sessionId: Id<"gws">,
      requests: readonly SliceRequest[],
    ): Promise<{ readonly state: SessionState; readonly grants: readonly (SliceGrant | undefined)[] }> {
      const grants = new Map<SliceRequest, SliceGrant>();
      const states: SessionState[] = [];
      const faults: unknown[] = [];
      await forEachNamespace(requests, async (namespaceId, ofNamespace) => {
        try {
          const acquired = await acquireIn(sessionId, namespaceId, ofNamespace);
          states.push(acquired.state);
          for (const [index, grant] of acquired.grants.entries()) {
            const request = ofNamespace[index];
            if (request !== undefined) grants.set(request, grant);
          }
        } catch (cause) {
          faults.push(cause);
          onFault({ namespaceId, cause });
        }
      });
      if (states.length === 0 && faults.length > 0) throw faults[0];
      const state = states.find((each) => each !== "open") ?? "open";
      return { state, grants: requests.map((request) => grants.get(request)) };
    },

    /** Applies reports, each exactly once. @returns their outcomes in order @throws DomainError UNAVAILABLE if none was applied */
    async report(reports: readonly SettlementReport[]): Promise<readonly ReportOutcome[]> {
      const outcomes = new Map<string, ReportOutcome>();
      const nameOf = (report: SettlementReport): string => `${report.namespaceId} ${requestName(report)}`;
      const applicable = reports.filter((report) => {
        const fault = faultOf(report);
        if (fault === undefined) return true;
        onFault({ namespaceId: report.namespaceId, cause: new Error(`a report of ${report.requestId} has ${fault}`) });
        return false;
      });
      const groups = [...Map.groupBy(applicable, ({ namespaceId }) => namespaceId)].map(
        ([namespaceId, ofNamespace]) => ({ namespaceId, reports: distinctReports(ofNamespace) }),
      );
      const size = Math.min(MAX_TOGETHER, Math.ceil(groups.length / CONCURRENT_NAMESPACES) || 1);
      const parts = Array.from({ length: Math.ceil(groups.length / size) }, (_, part) =>
        groups.slice(part * size, (part + 1) * size),
      );
      await forEachOf(parts, async (part) => {
        for (const [report, outcome] of await applyTogether(part)) outcomes.set(nameOf(report), outcome);
      });
      const all = reports.map((report) =>
        faultOf(report) === undefined ? (outcomes.get(nameOf(report)) ?? "again") : "refused",
      );
      return all;
    },

    /** Closes a session that has reported everything; otherwise lets it end by itself. */
    async close(sessionId: Id<"gws">, isComplete: boolean): Promise<SessionState> {
      if (!isComplete) return sessions.leave(sessionId);
      await sessions.close(sessionId);
      await releaseClosed(slices, sessionId);
      return "closed";
    },
  };
}

/** Frees what is set aside for a closed session, one namespace after the other. */
export function releaseClosed(slices: SliceStore, sessionId: Id<"gws">): Promise<void> {
  return inEachNamespace(slices, sessionId, (namespaceId) => slices.release(sessionId, namespaceId));
}

/** Calls `work` once for each namespace, for a few at a time. */
function forEachNamespace<T extends { readonly namespaceId: Id<"ns"> }>(
  items: readonly T[],
  work: (namespaceId: Id<"ns">, ofNamespace: readonly T[]) => Promise<void>,
): Promise<void> {
  const groups = [...Map.groupBy(items, ({ namespaceId }) => namespaceId)];
  return forEachOf(groups, ([namespaceId, ofNamespace]) => work(namespaceId, ofNamespace));
}

/** Calls `work` once for each item, for a few at a time. */
async function forEachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const run = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: CONCURRENT_NAMESPACES }, run));
}
