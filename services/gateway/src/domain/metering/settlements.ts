import { setTimeout as delay } from "node:timers/promises";
import type { Id } from "@routeplane/domain";
import { type Component, gauge, type Logger } from "@routeplane/runtime";
import type { Admissions, ReservationKey, SlicedAdmission } from "../ports/admissions.ts";
import type { SettlementReports } from "../ports/settlement-reports.ts";
import type { OutboxOffset, PendingSettlement, Settlement, UsageLog } from "../ports/usage-log.ts";
import { reportOneByOne } from "./report-one-by-one.ts";
import { ReportQueue } from "./report-queue.ts";
import { reportPreviousRun } from "./previous-run.ts";
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
  /** Release that was enqueued before the admission was requested, or unknown end with it; absent if there is none. */
  readonly pendingRelease: OutboxOffset | undefined;
  /** Slices that it was admitted on, if any. */
  readonly slices?: SlicedAdmission | undefined;
}

/** Settlement of a request on slices until it is reported. */
interface SettlementOnSlices {
  readonly pending: PendingSettlement;
  readonly slices: SlicedAdmission;
  /** Offset in the outbox; 0 until it is written. */
  offset: number;
}

export interface SettlementsOptions {
  readonly admissions: Pick<Admissions, "settle" | "release">;
  /** Client that reports in bulk; by default settlements are reported one by one through `admissions`. */
  readonly reports?: SettlementReports;
  readonly usageLog: UsageLog;
  readonly log: Logger;
  /** Closes a session that an earlier process left; by default none is. */
  readonly closeSession?: (sessionId: Id<"gws">, isComplete: boolean) => Promise<void>;
  /** Called once the policy service has a settlement. Does nothing by default. */
  readonly onReported?: (settlement: PendingSettlement) => void;
  /** Pending settlements from which on `hasCapacity` is false. 20,000 by default. */
  readonly capacity?: number;
  /** Longest time within which a busy namespace is reported. 5 s by default. */
  readonly reportWithinMs?: number;
  /** Wait of a stop for pending settlements, repeated while their number falls, four times at most. 1 s by default. */
  readonly flushTimeoutMs?: number;
}

/** A process stops within 10 s, and its running requests take up to 5 s of it. */
const MAX_FLUSH_WAITS = 4;
const NOTHING_USED = { costNanoUsd: 0n, tokens: 0, neverSent: true };

/** Starts to send the pending settlements of earlier processes at once. */
export function createSettlements(options: SettlementsOptions): Settlements {
  const { admissions, usageLog, log, capacity = 20_000, flushTimeoutMs = 1_000 } = options;
  const { reports = reportOneByOne(admissions, log), closeSession = async () => {}, onReported = () => {} } = options;
  const queue = new ReportQueue(reports, log, options.reportWithinMs);
  const previousRun = reportPreviousRun({ usageLog, queue, closeSession, log });

  gauge({
    name: "routeplane_gateway_pending_settlements",
    help: "Settlements and releases that the policy service has not acknowledged yet.",
    read: () => queue.size,
  });

  const send = (settlement: PendingSettlement, complete: () => void): void =>
    queue.add({
      settlement,
      onReported() {
        onReported(settlement);
        complete();
      },
    });
  /** Made here so that a settlement that waits for its report, up to a second, keeps nothing else of the request in memory. */
  const acknowledgementOf = (end: SettlementOnSlices) => (): void => {
    const { pending, slices } = end;
    queue.expected--;
    slices.settle(pending.costNanoUsd);
    send(pending, () => {
      usageLog.complete(end.offset);
      slices.markReported();
    });
  };
  /** Reports the settlement of a request on slices once the log has it: what it did not use is free from then on. */
  const settleOnSlices = (
    facts: RequestFacts,
    settlement: Settlement,
    pending: PendingSettlement,
    slices: SlicedAdmission,
    pendingEnd: OutboxOffset | undefined,
  ): void => {
    slices.end();
    const end = { pending, slices, offset: 0 };
    const onAcknowledged = acknowledgementOf(end);
    queue.expected++;
    try {
      end.offset = usageLog.recordSettlement(facts, settlement, pending, pendingEnd, onAcknowledged);
    } catch (error) {
      log.error({ err: error, requestId: facts.requestId }, "settlement not recorded in the spool: sent from memory");
      onAcknowledged();
    }
  };

  return {
    name: "settlements",
    hasCapacity: () => queue.size < capacity,
    settle(facts, settlement, { hasReservation, neverSent, pendingRelease, slices }) {
      const { namespaceId, keyId, requestId } = facts;
      const { costNanoUsd, promptTokens, completionTokens } = settlement;
      const amounts = { costNanoUsd, tokens: promptTokens + completionTokens };
      const pending = hasReservation ? { namespaceId, keyId, requestId, ...amounts, neverSent } : undefined;
      if (pending !== undefined && slices !== undefined)
        return settleOnSlices(facts, settlement, { ...pending, slices }, slices, pendingRelease);
      let offset = pendingRelease;
      try {
        offset = usageLog.recordSettlement(facts, settlement, pending, pendingRelease);
      } catch (error) {
        log.error({ err: error, requestId }, "settlement not recorded in the spool: sent from memory");
      }
      if (pending !== undefined) send(pending, () => offset !== undefined && usageLog.complete(offset));
    },
    release: (key, pendingRelease) => send({ ...key, ...NOTHING_USED }, () => usageLog.complete(pendingRelease)),
    async stop() {
      const timer = new AbortController();
      // A process that stops soon after its start finishes the work of the previous run first.
      const finished = Promise.all([queue.flush(), previousRun.finished])
        .then(() => queue.flush())
        .then(() => timer.abort());
      for (let waits = 0, before = Infinity; waits < MAX_FLUSH_WAITS && queue.size < before; waits++) {
        before = queue.size;
        await Promise.race([finished, delay(flushTimeoutMs, undefined, { signal: timer.signal }).catch(() => {})]);
      }
      timer.abort();
      queue.stop();
      previousRun.stop();
      if (queue.size > 0) log.warn({ pending: queue.size }, "stopped with pending settlements");
    },
  };
}
