/**
 * Waiting for events to commit. A committed event survives any kill and the loss of power.
 *
 * Architecture. The publisher hands over the offset of a recorded event; the sender reports acknowledged batches and failed attempts.
 * Waiters are in one map, ordered by offset.
 *
 * Steps. While NATS answers, an event commits when its batch is acknowledged. With the policy `spool`, an event that NATS has not
 * acknowledged within 250 ms, or at once while NATS is known to be disconnected, commits by a sync of the spool. With `refuse` it is never
 * synced: the wait rejects after `timeoutMs`. A timer checks every 50 ms while anything waits. It stops at the first check that finds no
 * waiter: stopping earlier would make a new timer for each batch.
 *
 * Concurrency. One sync runs at a time. It commits all events that were written before it began, so that its cost is
 * shared; events that are recorded meanwhile wait for the next one.
 *
 * Failures. Every wait ends in bounded time: if the sync fails, it rejects with UNAVAILABLE (dependency `spool`); on
 * `refuse`, with UNAVAILABLE (dependency `nats`). Either way the event stays in the spool and is sent.
 */
import type { Spool } from "./spool/spool.ts";
import { unavailable } from "./unavailable.ts";

/** Policy for new requests while NATS does not answer: commit them to the spool, or refuse them. */
export type NatsOutage = "spool" | "refuse";

export interface CommitWaitOptions {
  readonly spool: Spool;
  readonly natsOutage: NatsOutage;
  /** Time after which a wait rejects under the policy `refuse`. */
  readonly timeoutMs: number;
  /** Returns true while NATS is known not to answer. */
  readonly isDisconnected: () => boolean;
}

interface Waiter {
  /** Monotonic time in milliseconds. */
  readonly waitingSince: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Time that NATS has to acknowledge an event before the spool is synced instead. */
const ACKNOWLEDGEMENT_TIMEOUT_MS = 250;
const CHECK_INTERVAL_MS = 50;

/** Waiters for the commit of recorded events; see the head of this file. */
export class CommitWait {
  readonly #options: CommitWaitOptions;
  /** Waiters, keyed by offset, in ascending order. */
  readonly #waiters = new Map<number, Waiter>();
  #checkTimer: NodeJS.Timeout | undefined;
  #isSyncing = false;

  constructor(options: CommitWaitOptions) {
    this.#options = options;
  }

  /** Resolves once the event at `offset` is committed. @throws DomainError UNAVAILABLE if that fails or takes too long */
  untilCommitted(offset: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.set(offset, { waitingSince: performance.now(), resolve, reject });
    this.#checkTimer ??= setInterval(() => this.check(), CHECK_INTERVAL_MS);
    if (this.#options.isDisconnected()) this.check();
    return promise;
  }

  /** Commits the events of an acknowledged batch. */
  acknowledged(first: number, last: number): void {
    for (let offset = first; offset <= last; offset++) this.#end(offset, resolveWaiter);
  }

  /** Starts a sync, or rejects waits, if any has become due. Called by the timer and after a failed attempt to send. */
  check(): void {
    const { natsOutage, timeoutMs, isDisconnected } = this.#options;
    const [oldest] = this.#waiters.values();
    if (oldest === undefined) return this.#stopChecks();
    const now = performance.now();
    if (natsOutage === "spool") {
      if (isDisconnected() || now - oldest.waitingSince > ACKNOWLEDGEMENT_TIMEOUT_MS) void this.#sync();
      return;
    }
    for (const [offset, { waitingSince }] of this.#waiters) {
      if (now - waitingSince <= timeoutMs) break;
      this.#end(offset, ({ reject }) => reject(unavailable("nats", "NATS did not answer in time")));
    }
  }

  rejectAll(error: Error): void {
    for (const offset of this.#waiters.keys()) this.#end(offset, ({ reject }) => reject(error));
    this.#stopChecks();
  }

  async #sync(): Promise<void> {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    const { spool } = this.#options;
    const { lastOffset } = spool;
    const failure = await spool.sync().then(
      () => undefined,
      (error: unknown) => unavailable("spool", "the spool cannot be written", error),
    );
    for (const offset of this.#waiters.keys()) {
      if (offset > lastOffset) break;
      this.#end(offset, ({ resolve, reject }) => (failure === undefined ? resolve() : reject(failure)));
    }
    this.#isSyncing = false;
    // Events that were recorded during this sync share the next one.
    this.check();
  }

  #end(offset: number, settle: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(offset);
    if (waiter === undefined) return;
    this.#waiters.delete(offset);
    settle(waiter);
  }

  #stopChecks(): void {
    clearInterval(this.#checkTimer);
    this.#checkTimer = undefined;
  }
}

function resolveWaiter({ resolve }: Waiter): void {
  resolve();
}
