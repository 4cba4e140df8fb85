/** Part of a rate limit that may be used until `endsAtMs`. */
export interface RateSlice {
  /** Requests or tokens that are not used yet. */
  amount: number;
  /** Time at which the whole slice is counted, however early it is used: milliseconds since the epoch. */
  readonly countedAtMs: number;
  /** Time from which it must not be used, on the clock of the process. */
  readonly endsAtMs: number;
}

/** Unused part of a rate slice that is over. */
export interface UnusedRate {
  readonly amount: number;
  readonly countedAtMs: number;
}

/** Maximum number of unused parts that wait to be returned. Parts beyond it are dropped: they count until they leave the window. */
const MAX_UNUSED = 64;

/**
 * Rate slices of one counter of requests or tokens. From its grant on, the service counts each slice at the time of its end, and later
 * subtracts the unused part there, once. If a return is lost, the unused part counts until it leaves the window: too much, never too
 * little.
 */
export class RateSlices {
  readonly bindingId: string;
  readonly dimension: "requests" | "tokens";
  /** Slices in the order of their ends. */
  #slices: RateSlice[] = [];
  #unused: UnusedRate[] = [];
  #used = 0;
  /** State of the limit after the last grant, without these slices; undefined before it. */
  state: { readonly remaining: number; readonly resetsAtMs: number } | undefined;
  /** Life of the slice that was granted last; a medium value before the first grant. */
  lifeMs = 500;

  constructor(bindingId: string, dimension: "requests" | "tokens") {
    this.bindingId = bindingId;
    this.dimension = dimension;
  }

  /** Finds the slice that ends first among those from which the amount can be taken. A request takes from one slice alone. */
  find(amount: number, nowMs: number): RateSlice | undefined {
    for (const slice of this.#slices) {
      if (amount <= slice.amount && nowMs < slice.endsAtMs) return slice;
    }
    return undefined;
  }

  /** Takes an amount, as `find` does. @returns the time at which it is counted. @throws Error if it does not fit */
  take(amount: number, nowMs: number): number {
    const slice = this.find(amount, nowMs);
    if (slice === undefined) throw new Error("a rate slice was taken without a check");
    slice.amount -= amount;
    this.#used += amount;
    return slice.countedAtMs;
  }

  /** Returns what was taken since this was last called. */
  takeUsed(): number {
    const used = this.#used;
    this.#used = 0;
    return used;
  }

  /** Amount that can be used now. */
  freeAt(nowMs: number): number {
    let free = 0;
    for (const { amount, endsAtMs } of this.#slices) if (nowMs < endsAtMs) free += amount;
    return free;
  }

  get hasUnused(): boolean {
    return this.#unused.length > 0;
  }

  get isEmpty(): boolean {
    return this.#slices.length === 0 && this.#unused.length === 0;
  }

  grant(slice: RateSlice): void {
    if (slice.amount <= 0) return;
    const after = this.#slices.findIndex(({ endsAtMs }) => endsAtMs > slice.endsAtMs);
    this.#slices.splice(after === -1 ? this.#slices.length : after, 0, { ...slice });
  }

  /** Ends every slice, as `expire` does. */
  expireAll(): void {
    this.expire(Number.POSITIVE_INFINITY);
  }

  /** Ends the slices that are over. What is left of them is unused from then on. */
  expire(nowMs: number): void {
    const isOver = ({ endsAtMs }: RateSlice): boolean => nowMs >= endsAtMs;
    if (!this.#slices.some(isOver)) return;
    for (const { amount, countedAtMs } of this.#slices.filter(isOver)) {
      if (amount > 0 && this.#unused.length < MAX_UNUSED) this.#unused.push({ amount, countedAtMs });
    }
    this.#slices = this.#slices.filter((slice) => !isOver(slice));
  }

  /** Takes the unused parts, to be returned in a call that is never repeated. */
  takeUnused(): readonly UnusedRate[] {
    const unused = this.#unused;
    this.#unused = [];
    return unused;
  }
}
