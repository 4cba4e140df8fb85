import type { Journal } from "./journal/journal.ts";
import { unavailable } from "./unavailable.ts";

/** When an event is safe: whatever is killed, and whatever machine loses its power. */
export type WhenNatsIsAway = "spool" | "refuse";

export interface DurabilityOptions {
  readonly journal: Journal;
  readonly whenNatsIsAway: WhenNatsIsAway;
  readonly timeoutMs: number;
  /** Whether NATS is known not to answer now. */
  readonly isAway: () => boolean;
}

interface Waiter {
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** An event that NATS has not acknowledged after this is made safe on the disk instead. */
const PATIENCE_MS = 250;
const LOOK_EVERY_MS = 50;

/**
 * Tells who waits for an event when it is durable: NATS has acknowledged it or, with `spool` and while NATS does not answer,
 * it is synced to the disk. One sync is for all that were recorded before it began.
 */
export class Durability {
  readonly #options: DurabilityOptions;
  /** By place, in the order in which they were recorded. */
  readonly #waiters = new Map<number, Waiter>();
  #look: NodeJS.Timeout | undefined;
  #syncing = false;

  constructor(options: DurabilityOptions) {
    this.#options = options;
  }

  /** @throws DomainError UNAVAILABLE if it does not become durable in time */
  of(place: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.set(place, { since: performance.now(), resolve, reject });
    this.#look ??= setInterval(() => this.check(), LOOK_EVERY_MS);
    if (this.#options.isAway()) this.check();
    return promise;
  }

  acknowledged(place: number, last: number): void {
    for (let each = place; each <= last; each++) this.#settle(each, ({ resolve }) => resolve());
  }

  /** Does what is due: those that have waited too long are not kept waiting. */
  check(): void {
    const { whenNatsIsAway, timeoutMs, isAway } = this.#options;
    const [oldest] = this.#waiters.values();
    if (oldest === undefined) return;
    const now = performance.now();
    if (whenNatsIsAway === "spool") {
      if (isAway() || now - oldest.since > PATIENCE_MS) void this.#sync();
      return;
    }
    for (const [place, { since }] of this.#waiters) {
      if (now - since <= timeoutMs) break;
      this.#settle(place, ({ reject }) => reject(unavailable("nats", "NATS did not answer in time")));
    }
  }

  rejectAll(error: Error): void {
    for (const place of this.#waiters.keys()) this.#settle(place, ({ reject }) => reject(error));
  }

  async #sync(): Promise<void> {
    if (this.#syncing) return;
    this.#syncing = true;
    const { journal } = this.#options;
    const { last } = journal;
    const fault = await journal.sync().then(
      () => undefined,
      (error: unknown) => unavailable("spool", "the spool cannot be written", error),
    );
    for (const place of this.#waiters.keys()) {
      if (place > last) break;
      this.#settle(place, ({ resolve, reject }) => (fault === undefined ? resolve() : reject(fault)));
    }
    this.#syncing = false;
    // Whoever came meanwhile shares the next one.
    this.check();
  }

  #settle(place: number, how: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(place);
    if (waiter === undefined) return;
    this.#waiters.delete(place);
    how(waiter);
    if (this.#waiters.size > 0) return;
    clearInterval(this.#look);
    this.#look = undefined;
  }
}
