import { setTimeout as delay } from "node:timers/promises";
import { type Component, gauge, type Logger } from "@routeplane/runtime";
import type { Admissions, ReservationKey } from "../ports/admissions.ts";
import type { SettlementReports } from "../ports/settlement-reports.ts";
import type { OutboxOffset, PendingSettlement, Settlement, UsageLog } from "../ports/usage-log.ts";
import { reportOneByOne } from "./report-one-by-one.ts";
import { ReportQueue } from "./report-queue.ts";
import type { RequestFacts } from "./request-facts.ts";

/**
 * Settlements of requests on their way to the usage log and to the policy service. No request waits for them: each is recorded
 * at once, and reported to the policy service, in bulk, until it is acknowledged. Those that are pending when this process ends, also if it
 * is killed, are sent by the next one. Bounded: once too many are pending, `hasCapacity` is false and no more requests are admitted.
 */
export interface Settlements extends Component {
  hasCapacity(): boolean;
  /** Records and sends the settlement of a request. Never throws: one that cannot be recorded is sent from memory. */
  settle(facts: RequestFacts, settlement: Settlement, admission: AdmissionState): void;
  /** Releases a reservation that may or may not exist, because the answer to the admission never came. */
  release(key: ReservationKey, pendingRelease: OutboxOffset): void;
}

/** State of a request's admission at its settlement. */
export interface AdmissionState {
  /** True if the policy service has a reservation for the request. */
  readonly hasReservation: boolean;
  /** True if nothing went upstream. */
  readonly neverSent: boolean;
  /** Release that was enqueued before the admission was requested. */
  readonly pendingRelease: OutboxOffset;
}

export interface SettlementsOptions {
  readonly admissions: Pick<Admissions, "settle" | "release">;
  /** Way of settlements in bulk; by default one by one through `admissions`. */
  readonly reports?: SettlementReports;
  readonly usageLog: UsageLog;
  readonly log: Logger;
  /** Pending settlements from which on `hasCapacity` is false. 20,000 by default. */
  readonly capacity?: number;
  /** Longest wait of a stop for pending settlements. 1 s by default. */
  readonly flushTimeoutMs?: number;
}

const NOTHING_USED = { costNanoUsd: 0n, tokens: 0, neverSent: true };

/** Starts to send the pending settlements of earlier processes at once. */
export function createSettlements(options: SettlementsOptions): Settlements {
  const { admissions, usageLog, log, capacity = 20_000, flushTimeoutMs = 1_000 } = options;
  const { reports = reportOneByOne(admissions, log) } = options;
  const queue = new ReportQueue(reports, log);

  gauge({
    name: "routeplane_gateway_pending_settlements",
    help: "Settlements and releases that the policy service has not acknowledged yet.",
    read: () => queue.size,
  });

  const send = (offset: OutboxOffset, settlement: PendingSettlement): void => {
    queue.add({ settlement, onReported: () => usageLog.complete(offset) });
  };
  const previous = usageLog.pendingFromPreviousRun;
  if (previous.length > 0) log.info({ pending: previous.length }, "sending pending settlements of an earlier process");
  for (const { offset, settlement } of previous) send(offset, settlement);

  return {
    name: "settlements",
    hasCapacity: () => queue.size < capacity,
    settle(facts, settlement, { hasReservation, neverSent, pendingRelease }) {
      const { namespaceId, keyId, requestId } = facts;
      const { costNanoUsd, promptTokens, completionTokens } = settlement;
      const amounts = { costNanoUsd, tokens: promptTokens + completionTokens };
      const pending = hasReservation ? { namespaceId, keyId, requestId, ...amounts, neverSent } : undefined;
      let offset = pendingRelease;
      try {
        offset = usageLog.recordSettlement(facts, settlement, pending, pendingRelease);
      } catch (error) {
        log.error({ err: error, requestId }, "settlement not recorded: sent to the policy service from memory");
      }
      if (pending !== undefined) send(offset, pending);
    },
    release: (key, pendingRelease) => send(pendingRelease, { ...key, ...NOTHING_USED }),
    async stop() {
      const timer = new AbortController();
      const timeout = delay(flushTimeoutMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([queue.flush(), timeout]);
      timer.abort();
      queue.stop();
      if (queue.size > 0) log.warn({ pending: queue.size }, "stopped with settlements pending");
    },
  };
}
