/**
 * Settlements and sessions that earlier processes left on this spool.
 *
 * Steps. Settlements of requests that the policy service admitted are reported at once; those of requests on slices, once the log has
 * acknowledged all events of those processes. If the owner of a session is certainly dead, all requests of the session are then reported,
 * running ones with an unknown end, and it is closed: its slices are free again. If the owner may be alive, only settled requests are
 * reported, and the session is left: it is not renewed any more, ends, and is settled from the usage log.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import type { RecordedSession, UsageLog } from "../ports/usage-log.ts";
import type { ReportQueue } from "./report-queue.ts";

export interface PreviousRunOptions {
  readonly usageLog: UsageLog;
  readonly queue: ReportQueue;
  readonly closeSession: (sessionId: Id<"gws">, isComplete: boolean) => Promise<void>;
  readonly log: Logger;
}

const RETRY_MS = 1_000;

/** Work on what earlier processes left. */
export interface PreviousRunReport {
  /** Resolves once their sessions are reported and closed, or the work was stopped. */
  readonly finished: Promise<void>;
  /** Leaves the rest to the next process. */
  stop(): void;
}

/** Starts to report what earlier processes left, and to close their sessions. */
export function reportPreviousRun({ usageLog, queue, closeSession, log }: PreviousRunOptions): PreviousRunReport {
  const stopping = new AbortController();
  const { signal } = stopping;
  const all = usageLog.pendingFromPreviousRun;
  if (all.length > 0) log.info({ pending: all.length }, "sending pending settlements of an earlier process");
  for (const { offset, settlement } of all) {
    if (settlement.slices === undefined) queue.add({ settlement, onReported: () => usageLog.complete(offset) });
  }
  const onSlices = all.filter(({ settlement }) => settlement.slices !== undefined);

  const reportSession = async ({ sessionId, offset, hasProof }: RecordedSession): Promise<void> => {
    const left = onSlices.filter(({ settlement }) => settlement.slices?.sessionId === sessionId);
    const reported = left.map(async ({ offset, settlement }) => {
      if (settlement.isUnknown === true && !hasProof) return usageLog.complete(offset);
      const { promise, resolve } = Promise.withResolvers<void>();
      queue.add({ settlement, onReported: () => resolve(usageLog.complete(offset)) });
      return promise;
    });
    await Promise.all(reported);
    log.info({ sessionId, requests: left.length, hasProof }, "gateway session of an earlier process reported");
    while (!signal.aborted) {
      try {
        await closeSession(sessionId, hasProof);
        return usageLog.complete(offset);
      } catch (error) {
        log.debug({ err: error, sessionId }, "closing a session of an earlier process failed; retrying");
      }
      await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  };
  /** Reports the settled requests of sessions without a record of their own. */
  const reportOthers = (sessions: readonly RecordedSession[]): void => {
    const known = new Set(sessions.map(({ sessionId }) => sessionId));
    for (const { offset, settlement } of onSlices) {
      if (settlement.slices === undefined || known.has(settlement.slices.sessionId)) continue;
      if (settlement.isUnknown === true) usageLog.complete(offset);
      else queue.add({ settlement, onReported: () => usageLog.complete(offset) });
    }
  };
  const reportSessions = async (): Promise<void> => {
    const sessions = await usageLog.sessionsFromPreviousRun;
    if (sessions.length + onSlices.length > 0) await usageLog.previousRunAcknowledged;
    if (signal.aborted) return;
    reportOthers(sessions);
    await Promise.all(sessions.map(reportSession));
  };
  const finished = reportSessions().catch((error: unknown) => {
    log.error({ err: error }, "reporting sessions of an earlier process failed");
  });
  return { finished, stop: () => stopping.abort() };
}
