import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import type { Component, Logger } from "@routeplane/runtime";
import type { Admissions, RequestFacts, Settlement, UsageLog } from "./ports.ts";

/**
 * What requests really cost, on its way to the usage log and to the policy service. Nobody waits for it: each is tried until
 * it is done or the process stops. Bounded: when too many wait, `hasRoom` says so and no more requests are admitted, because
 * what was admitted must be settled. A settlement that is lost with the process costs its request the whole reservation.
 */
export interface Settlements extends Component {
  hasRoom(): boolean;
  /** @param held whether the admission made a hold */
  settle(facts: RequestFacts, settlement: Settlement, held: boolean): void;
  /** Releases a hold that may or may not exist: the answer to an admission never came. */
  release(request: Pick<RequestFacts, "namespaceId" | "requestId">): void;
}

export interface SettlementsOptions {
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly log: Logger;
  /** How many may wait. */
  readonly capacity?: number;
  /** How long a stop waits for those that do. */
  readonly flushTimeoutMs?: number;
}

const MIN_WAIT_MS = 50;
const MAX_WAIT_MS = 5_000;

export function createSettlements(options: SettlementsOptions): Settlements {
  const { admissions, usageLog, log, capacity = 20_000, flushTimeoutMs = 1_000 } = options;
  const pending = new Set<Promise<void>>();
  const stopping = new AbortController();

  const track = (requestId: string, what: string, attempt: () => Promise<void>): void => {
    const work = untilDone(attempt, stopping.signal).then(
      () => undefined,
      (error: unknown) => log.error({ err: error, requestId }, `${what} was given up`),
    );
    pending.add(work);
    void work.finally(() => pending.delete(work));
  };

  return {
    name: "settlements",
    hasRoom: () => pending.size < capacity,
    settle(facts, settlement, held) {
      const { requestId } = facts;
      track(requestId, "the usage event of a settlement", () => usageLog.settled(facts, settlement));
      if (!held) return;
      const { costNanoUsd } = settlement;
      track(requestId, "a settlement", () =>
        costNanoUsd === 0n ? admissions.release(facts) : admissions.settle(facts, costNanoUsd),
      );
    },
    release: (request) => track(request.requestId, "the release of a hold", () => admissions.release(request)),
    async stop() {
      const timer = new AbortController();
      const late = delay(flushTimeoutMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([Promise.all(pending), late]);
      timer.abort();
      stopping.abort();
      if (pending.size > 0) log.error({ pending: pending.size }, "stopped before these settlements were done");
    },
  };
}

/**
 * Tries again, with growing pauses, whatever may pass: a dependency that is away.
 *
 * @throws what is not such a thing, or the last failure once stopped
 */
async function untilDone(attempt: () => Promise<void>, stopping: AbortSignal): Promise<void> {
  for (let waitMs = MIN_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "unavailable" || stopping.aborted) throw error;
    }
    // Spread, so that a service that comes back does not meet all of them at once.
    await delay(waitMs * (0.5 + Math.random() / 2), undefined, { signal: stopping }).catch(() => {});
  }
}
