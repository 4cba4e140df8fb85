import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import type { Component, Logger } from "@routeplane/runtime";
import type { Admissions, Debt, HoldEnd, HoldKey, RequestFacts, Settlement, UsageLog } from "../ports.ts";

/**
 * What requests really cost, on its way to the usage log and to the policy service. Nobody waits for it: it is recorded at
 * once, and the policy service is told until it knows. What is not done when this process ends, in whatever way, the next one
 * does. Bounded: when too many wait, `hasRoom` says so and no more requests are admitted.
 */
export interface Settlements extends Component {
  hasRoom(): boolean;
  /** Never throws: what cannot be recorded is told from memory. */
  settle(facts: RequestFacts, settlement: Settlement, admission: AdmissionEnd): void;
  /** Releases a hold that may or may not exist: the answer to an admission never came. */
  release(hold: HoldKey, asked: Debt): void;
}

export interface AdmissionEnd {
  /** Whether there is a hold. */
  readonly held: boolean;
  /** Whether nothing went upstream. */
  readonly neverSent: boolean;
  /** The debt that was recorded before the hold was asked for. */
  readonly asked: Debt;
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

const NOTHING_USED = { costNanoUsd: 0n, tokens: 0, neverSent: true };

const MIN_WAIT_MS = 50;
const MAX_WAIT_MS = 5_000;
/** What earlier processes left is done so many at a time, beside what this one does. */
const LEFT_AT_A_TIME = 8;

export function createSettlements(options: SettlementsOptions): Settlements {
  const { admissions, usageLog, log, capacity = 20_000, flushTimeoutMs = 1_000 } = options;
  const pending = new Set<Promise<void>>();
  const stopping = new AbortController();

  const pay = async (debt: Debt, end: HoldEnd): Promise<void> => {
    const { costNanoUsd, tokens, requestId, neverSent } = end;
    const unused = costNanoUsd === 0n && tokens === 0;
    const tell = () => (unused ? admissions.release(end, neverSent) : admissions.settle(end, { costNanoUsd, tokens }));
    const fault = await untilDone(tell, stopping.signal);
    if (stopping.signal.aborted && fault !== undefined) return;
    if (fault !== undefined) log.error({ err: fault, requestId }, "the policy service refuses a settlement: given up");
    usageLog.paid(debt);
  };
  const track = (paying: Promise<void>): void => {
    const work = paying.catch((error: unknown) => {
      log.error({ err: error }, "a settlement that was made could not be crossed off: the next process makes it again");
    });
    pending.add(work);
    void work.then(() => pending.delete(work));
  };
  const left = [...usageLog.unpaid];
  const payLeft = async (): Promise<void> => {
    for (let next = left.shift(); next && !stopping.signal.aborted; next = left.shift()) await pay(next.debt, next.end);
  };
  if (left.length > 0) log.info({ debts: left.length }, "settling what an earlier process did not");
  for (let worker = 0; worker < Math.min(left.length, LEFT_AT_A_TIME); worker++) track(payLeft());

  return {
    name: "settlements",
    hasRoom: () => pending.size < capacity,
    settle(facts, settlement, { held, neverSent, asked }) {
      const { namespaceId, keyId, requestId } = facts;
      const { costNanoUsd, promptTokens, completionTokens } = settlement;
      const used = { costNanoUsd, tokens: promptTokens + completionTokens };
      const end = held ? { namespaceId, keyId, requestId, ...used, neverSent } : undefined;
      let debt = asked;
      try {
        debt = usageLog.settled(facts, settlement, end, asked);
      } catch (error) {
        log.error(
          { err: error, requestId },
          "a settlement could not be recorded: the policy service is told from memory",
        );
      }
      if (end !== undefined) track(pay(debt, end));
    },
    release: (hold, asked) => track(pay(asked, { ...hold, ...NOTHING_USED })),
    async stop() {
      const timer = new AbortController();
      const late = delay(flushTimeoutMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([Promise.all(pending), late]);
      timer.abort();
      stopping.abort();
      if (pending.size > 0) log.warn({ pending: pending.size }, "stopped before these settlements were done");
    },
  };
}

/**
 * Tries again, with growing pauses, whatever may pass: a dependency that is away.
 *
 * @returns undefined once it is done; else what is not such a thing, or the last failure once stopped
 */
async function untilDone(attempt: () => Promise<void>, stopping: AbortSignal): Promise<unknown> {
  for (let waitMs = MIN_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      await attempt();
      return undefined;
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "unavailable" || stopping.aborted) return error;
    }
    // Spread, so that a service that comes back does not meet all of them at once.
    await delay(waitMs * (0.5 + Math.random() / 2), undefined, { signal: stopping }).catch(() => {});
  }
}
