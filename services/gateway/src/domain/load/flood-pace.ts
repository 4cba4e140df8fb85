/**
 * Pace of floods while other namespaces are served too: so many requests of them start that the event loop keeps time to spare.
 *
 * A namespace floods while more than eight of its requests wait. It is held back while another one, of which fewer waited, has sent a
 * request within the last two seconds: four requests of floods start in a turn of the event loop, and none while spare
 * time is due, but in one turn of 20 ms. A flood alone, and namespaces that are served without a queue, are never held back.
 *
 * Measured with one core for the gateway, 100 requests/s beside a flood on 256 connections: see test/bench/README.md.
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

/** Last request of a namespace of which few waited. */
interface Arrival {
  readonly namespaceId: string;
  readonly at: number;
}

const NEVER: Arrival = { namespaceId: "", at: -Infinity };

export class FloodPace {
  readonly #now: () => number;
  readonly #spareTime: SpareTime;
  /** Last arrivals of two namespaces of which few requests waited, the last one first: one of them is always of another than a given one. */
  #arrivals: readonly [Arrival, Arrival] = [NEVER, NEVER];
  #startsLeft = 0;
  #startedAt = 0;

  /** @param now monotonic clock in milliseconds */
  constructor(now: () => number, loopTimes: () => LoopTimes) {
    this.#now = now;
    this.#spareTime = new SpareTime(loopTimes);
  }

  /** Notes a request of a namespace of which so many wait. */
  arrived(namespaceId: string, waiting: number): void {
    if (waiting >= MAX_FEW) return;
    const [last, other] = this.#arrivals;
    this.#arrivals = [{ namespaceId, at: this.#now() }, last.namespaceId === namespaceId ? other : last];
  }

  /** Begins a turn. @returns false if no request of a flood may start in it */
  beginTurn(): boolean {
    const now = this.#now();
    const isPaused = this.#spareTime.isDue && now - this.#startedAt < MAX_PAUSE_MS;
    this.#startsLeft = isPaused ? 0 : STARTS_PER_TURN;
    if (!isPaused) this.#startedAt = now;
    return !isPaused;
  }

  /** Takes one start of a namespace, of which so many requests wait. @returns false if it may not start in this turn */
  takeStart(namespaceId: string, waiting: number): boolean {
    if (waiting <= MAX_FEW || !this.#isSharedBy(namespaceId)) return true;
    if (this.#startsLeft === 0) return false;
    this.#startsLeft--;
    return true;
  }

  /** True if another namespace is served too, of which few requests wait. */
  #isSharedBy(namespaceId: string): boolean {
    const [last, other] = this.#arrivals;
    const { at } = last.namespaceId === namespaceId ? other : last;
    return this.#now() - at < ACTIVE_MS;
  }
}
