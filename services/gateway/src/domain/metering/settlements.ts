import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import { type Component, gauge, type Logger, withRequestId } from "@routeplane/runtime";
import type { Admissions, ReservationKey } from "../ports/admissions.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { OutboxOffset, PendingSettlement, Settlement, UsageLog } from "../ports/usage-log.ts";

/**
 * Settlements of requests on their way to the usage log and to the policy service. No request waits for them: each is recorded
 * at once, and sent to the policy service until it is acknowledged. Those that are pending when this process ends, also if it
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
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly log: Logger;
  /** Pending settlements from which on `hasCapacity` is false. 20,000 by default. */
  readonly capacity?: number;
  /** Longest wait of a stop for pending settlements. 1 s by default. */
  readonly flushTimeoutMs?: number;
}

const NOTHING_USED = { costNanoUsd: 0n, tokens: 0, neverSent: true };

const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;
/** Pending settlements of earlier processes that are sent at a time, beside this process's own. */
const PREVIOUS_RUN_CONCURRENCY = 8;

/** Starts to send the pending settlements of earlier processes at once. */
export function createSettlements(options: SettlementsOptions): Settlements {
  const { admissions, usageLog, log, capacity = 20_000, flushTimeoutMs = 1_000 } = options;
  const running = new Set<Promise<void>>();
  const stopping = new AbortController();

  gauge({
    name: "routeplane_gateway_pending_settlements",
    help: "Settlements and releases that the policy service has not acknowledged yet.",
    read: () => running.size,
  });

  const send = async (offset: OutboxOffset, settlement: PendingSettlement): Promise<void> => {
    const { costNanoUsd, tokens, requestId, neverSent } = settlement;
    const isUnused = costNanoUsd === 0n && tokens === 0;
    const attempt = () =>
      withRequestId(requestId, () =>
        isUnused ? admissions.release(settlement, neverSent) : admissions.settle(settlement, { costNanoUsd, tokens }),
      );
    const fault = await retryWhileUnavailable(attempt, stopping.signal);
    if (stopping.signal.aborted && fault !== undefined) return;
    if (fault !== undefined) log.error({ err: fault, requestId }, "settlement refused by the policy service, given up");
    usageLog.complete(offset);
  };
  const track = (sending: Promise<void>): void => {
    const work = sending.catch((error: unknown) => {
      log.error({ err: error }, "settlement sent but not marked as complete: the next process sends it again");
    });
    running.add(work);
    void work.then(() => running.delete(work));
  };
  const previous = [...usageLog.pendingFromPreviousRun];
  const sendPendingFromPreviousRun = async (): Promise<void> => {
    for (let next = previous.shift(); next && !stopping.signal.aborted; next = previous.shift()) {
      await send(next.offset, next.settlement);
    }
  };
  if (previous.length > 0) log.info({ pending: previous.length }, "sending pending settlements of an earlier process");
  const workers = Math.min(previous.length, PREVIOUS_RUN_CONCURRENCY);
  for (let worker = 0; worker < workers; worker++) track(sendPendingFromPreviousRun());

  return {
    name: "settlements",
    hasCapacity: () => running.size < capacity,
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
      if (pending !== undefined) track(send(offset, pending));
    },
    release: (key, pendingRelease) => track(send(pendingRelease, { ...key, ...NOTHING_USED })),
    async stop() {
      const timer = new AbortController();
      const timeout = delay(flushTimeoutMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([Promise.all(running), timeout]);
      timer.abort();
      stopping.abort();
      if (running.size > 0) log.warn({ pending: running.size }, "stopped with settlements pending");
    },
  };
}

/**
 * Repeats a call, with growing pauses, as long as its dependency is unavailable.
 *
 * @returns undefined once it succeeds; else the first other failure, or the last failure once stopped
 */
async function retryWhileUnavailable(attempt: () => Promise<void>, stopping: AbortSignal): Promise<unknown> {
  for (let waitMs = MIN_RETRY_MS; ; waitMs = Math.min(waitMs * 2, MAX_RETRY_MS)) {
    try {
      await attempt();
      return undefined;
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "unavailable" || stopping.aborted) return error;
    }
    // Jitter, so that a service that comes back does not receive all of them at once.
    await delay(waitMs * (0.5 + Math.random() / 2), undefined, { signal: stopping }).catch(() => {});
  }
}
