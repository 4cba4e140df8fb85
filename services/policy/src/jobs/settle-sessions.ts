import { type Component, counter, gauge, type Logger, runPeriodically } from "@routeplane/runtime";
import type { Endings, EndingsDependencies, EndingStore } from "../domain/sessions/endings.ts";

const EVERY_MS = 1_000;
const RETRY_MS = 5_000;

const unaccounted = counter({
  name: "routeplane_policy_unaccounted_usd_total",
  help: "Money of lost gateway sessions that was held back for a day and is free again without a charge.",
});

/** Settles lost gateway sessions from the usage log. Any number of replicas can do so at once. */
export function settleSessions(endings: Pick<Endings, "run">, log: Logger): Component {
  return runPeriodically({
    name: "settle lost gateway sessions",
    everyMs: EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      await endings.run();
      return false;
    },
  });
}

/** Returns the callbacks that log and count faults and unaccounted amounts of lost sessions. */
export function reportEndings(log: Logger): Pick<EndingsDependencies, "onUnaccounted" | "onFault"> {
  return {
    onUnaccounted({ sessionId, namespaceId, nano }) {
      unaccounted.inc(Number(nano) / 1e9);
      log.warn(
        { sessionId, namespaceId, heldBackNanoUsd: `${nano}` },
        "held-back amount of a lost gateway session released without a charge",
      );
    },
    onFault: ({ sessionId, namespaceId, cause }) =>
      log.error({ err: cause, sessionId, namespaceId }, "request of the usage log cannot be charged"),
  };
}

/** Registers the gauges of lost sessions, over all processes. They are left out while Postgres is down. */
export function observeLostSessions(endings: Pick<EndingStore, "lost">): void {
  gauge({
    name: "routeplane_policy_ended_sessions",
    help: "Gateway sessions that ended and are not settled from the usage log yet. Absent while Postgres is down.",
    read: async () => (await endings.lost()).ended,
  });
  gauge({
    name: "routeplane_policy_ended_sessions_oldest_seconds",
    help: "Time for which the longest of them waits; 0 if there is none. Absent while Postgres is down.",
    read: async () => (await endings.lost()).oldestSecs,
  });
  gauge({
    name: "routeplane_policy_settled_sessions",
    help: "Gateway sessions that are settled from the usage log and not closed yet. Absent while Postgres is down.",
    read: async () => (await endings.lost()).settled,
  });
}
