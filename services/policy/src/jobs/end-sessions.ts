import type { Id } from "@routeplane/domain";
import { type Component, counter, gauge, type Logger, runPeriodically } from "@routeplane/runtime";
import { eachDespiteFaults } from "../domain/sessions/despite-faults.ts";
import { releaseClosed } from "../domain/sessions/gateway-sessions.ts";
import type { SessionStore, SliceStore, SliceTotal } from "../domain/sessions/ports.ts";
import { SESSION_KEPT_MS } from "../domain/sessions/reports.ts";

const END_EVERY_MS = 1_000;
const RELEASE_EVERY_MS = 30_000;
const RETRY_MS = 5_000;

const missed = counter({
  name: "routeplane_policy_sessions_ended_total",
  help: "Gateway sessions that ended because they were not renewed in time.",
});

/** Ends sessions that were not renewed in time. Any number of replicas can do so at once. */
export function endSessions(endMissedRenewals: () => Promise<readonly Id<"gws">[]>, log: Logger): Component {
  return runPeriodically({
    name: "end gateway sessions",
    everyMs: END_EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      for (const sessionId of await endMissedRenewals()) {
        missed.inc();
        log.warn({ sessionId }, "gateway session ended: renewal missed");
      }
      return false;
    },
  });
}

/**
 * Frees slices of closed sessions that a process which died had not freed, and deletes old sessions. Any number of replicas can do so at
 * once.
 */
export function releaseClosedSessions(
  sessions: Pick<SessionStore, "closedLately" | "deleteClosed">,
  slices: SliceStore,
  log: Logger,
): Component {
  /** Closed sessions with nothing left to free. */
  let released = new Set<Id<"gws">>();
  return runPeriodically({
    name: "release closed gateway sessions",
    everyMs: RELEASE_EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      await sessions.deleteClosed(SESSION_KEPT_MS);
      const closed = await sessions.closedLately();
      const unreleased = closed.filter((sessionId) => !released.has(sessionId));
      released = new Set(closed.filter((sessionId) => released.has(sessionId)));
      await eachDespiteFaults(unreleased, async (sessionId) => {
        await releaseClosed(slices, sessionId);
        released.add(sessionId);
      });
      return false;
    },
  });
}

/** Time for which processes show the same reading. */
const TOTALS_FRESH_MS = 15_000;

/** Registers the gauges of sessions and slices, over all processes. They are left out while Postgres is down. */
export function observeSessions(sessions: Pick<SessionStore, "open">, slices: Pick<SliceStore, "totals">): void {
  let read: { readonly at: number; readonly totals: Promise<readonly SliceTotal[]> } | undefined;
  const totals = (): Promise<readonly SliceTotal[]> => {
    const now = performance.now();
    if (read !== undefined && now - read.at <= TOTALS_FRESH_MS) return read.totals;
    const reading = { at: now, totals: slices.totals() };
    read = reading;
    reading.totals.catch(() => (read = read === reading ? undefined : read));
    return reading.totals;
  };
  const sum = async (dimension: string, part: "outstanding" | "heldBack"): Promise<number> =>
    Number((await totals()).find((each) => each.dimension === dimension)?.[part] ?? 0n);
  gauge({
    name: "routeplane_policy_open_sessions",
    help: "Gateway sessions that are open, over all processes. Absent while Postgres is down.",
    read: async () => (await sessions.open()).length,
  });
  gauge({
    name: "routeplane_policy_outstanding_usd",
    help: "Money that is outstanding in slices, over all processes. Absent while Postgres is down.",
    read: async () => (await sum("money", "outstanding")) / 1e9,
  });
  gauge({
    name: "routeplane_policy_held_back_usd",
    help: "Money that stays reserved of settled sessions, because it may be in doubt. Absent while Postgres is down.",
    read: async () => (await sum("money", "heldBack")) / 1e9,
  });
  gauge({
    name: "routeplane_policy_outstanding_slots",
    help: "Slots that are outstanding in slices, over all processes. Absent while Postgres is down.",
    read: () => sum("concurrent", "outstanding"),
  });
}
