/** Maximum share of its time that the event loop works while it keeps spare time. */
const BUSY_SHARE = 0.8;
/** Maximum idle time that is due, however long the loop has worked. */
const MAX_DUE_MS = 20;

/** Time that an event loop has worked, and that it was idle, since it began, in milliseconds. */
export interface LoopTimes {
  readonly active: number;
  readonly idle: number;
}

/** Spare time of an event loop: for the time that it works, idle time is due, in which whatever arrives is handled at once. */
export class SpareTime {
  readonly #loopTimes: () => LoopTimes;
  #last: LoopTimes;
  #dueMs = 0;

  constructor(loopTimes: () => LoopTimes) {
    this.#loopTimes = loopTimes;
    this.#last = loopTimes();
  }

  /** True while the loop has been idle for less than is due. */
  get isDue(): boolean {
    const { active, idle } = this.#loopTimes();
    const worked = active - this.#last.active;
    const rested = idle - this.#last.idle;
    this.#last = { active, idle };
    const dueMs = this.#dueMs + (worked * (1 - BUSY_SHARE)) / BUSY_SHARE - rested;
    this.#dueMs = Math.min(Math.max(dueMs, 0), MAX_DUE_MS);
    return this.#dueMs > 0;
  }
}
