/**
 * Pace of floods while other namespaces are served too: it lets so many of their requests start that the event loop has spare time.
 *
 * A namespace floods while more than eight of its requests wait. It is held back for two seconds after each request of another namespace
 * that sends less than a quarter as much, and has few waiting requests. While floods are held back, four of their requests start in a turn
 * of the event loop. While spare time is due, none starts, except in one turn every 20 ms. A flood alone is never held back, nor is a
 * namespace that is served without a queue. Nor are two that send about as much as each other: one would wait although there is time.
 *
 * Measured with one core for the gateway, 100 requests/s in parallel with a flood on 256 connections: see test/bench/README.md.
 */
import { SpareTime, type LoopTimes } from "./spare-time.ts";

/** Most waiting requests of a namespace that does not flood: running ones can be many, since models take seconds. */
const MAX_FEW = 8;
/** Time for which floods are held back for a namespace since its last request. */
const ACTIVE_MS = 2_000;
/** Requests of floods that start in one turn while they are held back. */
const STARTS_PER_TURN = 4;
/** Longest time in which none of them starts. */
const MAX_PAUSE_MS = 20;

/** Ratio of the rates of two namespaces from which on one is held back for the other. */
const TIMES_AS_MUCH = 4;
/** Time in which the weight of an arrival in a rate falls to a third. */
const RATE_MS = 1_000;
/** Maximum number of namespaces whose rates are kept, the most recent ones. */
const MAX_SENDERS = 1_024;

/** Rate at which a namespace sends. */
interface Sender {
  readonly namespaceId: string;
  /** Arrivals of about the last second, at the time of the last one. */
  count: number;
  at: number;
}

const NOBODY: Sender = { namespaceId: "", count: 0, at: -Infinity };

export class FloodPace {
  readonly #now: () => number;
  readonly #spareTime: SpareTime;
  /** Senders keyed by namespace, the longest silent first. */
  readonly #senders = new Map<string, Sender>();
  /** Sender with the highest rate. */
  #largest = NOBODY;
  /** Last two namespaces that sent little and had few waiting requests, the latest first: at least one of them differs from a given one. */
  #small: readonly [Sender, Sender] = [NOBODY, NOBODY];
  #startsLeft = 0;
  #startedAt = 0;

  /** @param now monotonic clock in milliseconds */
  constructor(now: () => number, loopTimes: () => LoopTimes) {
    this.#now = now;
    this.#spareTime = new SpareTime(loopTimes);
  }

  /** Notes a request of a namespace that has this many waiting requests. */
  arrived(namespaceId: string, waiting: number): void {
    const now = this.#now();
    const sender = this.#count(namespaceId, now);
    if (sender.count >= rateOf(this.#largest, now)) this.#largest = sender;
    if (waiting >= MAX_FEW || !sendsLess(sender, this.#largest, now)) return;
    const [last, other] = this.#small;
    this.#small = [sender, last.namespaceId === namespaceId ? other : last];
  }

  #count(namespaceId: string, now: number): Sender {
    const sender = this.#senders.get(namespaceId) ?? { namespaceId, count: 0, at: now };
    sender.count = rateOf(sender, now) + 1;
    sender.at = now;
    this.#senders.delete(namespaceId);
    this.#senders.set(namespaceId, sender);
    if (this.#senders.size > MAX_SENDERS) {
      const [first = ""] = this.#senders.keys();
      this.#senders.delete(first);
    }
    return sender;
  }

  /** Begins a turn. @returns false if no request of a flood may start in it */
  beginTurn(): boolean {
    const now = this.#now();
    const isPaused = this.#spareTime.isDue && now - this.#startedAt < MAX_PAUSE_MS;
    this.#startsLeft = isPaused ? 0 : STARTS_PER_TURN;
    if (!isPaused) this.#startedAt = now;
    return !isPaused;
  }

  /** Takes one start of a namespace that has this many waiting requests. @returns false if it may not start in this turn */
  takeStart(namespaceId: string, waiting: number): boolean {
    if (waiting <= MAX_FEW || !this.#isSharedBy(namespaceId)) return true;
    if (this.#startsLeft === 0) return false;
    this.#startsLeft--;
    return true;
  }

  /** True if another namespace is served too that sends much less than this one. */
  #isSharedBy(namespaceId: string): boolean {
    const now = this.#now();
    const own = this.#senders.get(namespaceId) ?? NOBODY;
    return this.#small.some(
      (other) => other.namespaceId !== namespaceId && now - other.at < ACTIVE_MS && sendsLess(other, own, now),
    );
  }
}

/** True if one sender has less than a quarter of the rate of another. */
function sendsLess(one: Sender, other: Sender, now: number): boolean {
  return rateOf(one, now) * TIMES_AS_MUCH < rateOf(other, now);
}

function rateOf({ count, at }: Sender, now: number): number {
  return count * Math.exp((at - now) / RATE_MS);
}
