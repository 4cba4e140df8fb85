/**
 * Slice of a counter of money or slots, as the gateway process that holds it knows it.
 *
 * Both sides report sums since the session began instead of differences, and take the larger value: granted `G`, returned `R` and used `U`
 * only grow, so that lost, repeated and overtaken calls do no harm. The free part is G - R - U - running. Amounts are whole numbers up to
 * 2^53 - 1: nano-USD or slots.
 */
export class StandingSlice {
  readonly bindingId: string;
  readonly dimension: "money" | "concurrent";
  /** Sum of all grants that are known: G. */
  granted = 0;
  /** Sum of all that was returned: R. */
  returned = 0;
  /** Sum of what finished requests used, at most their bounds: U. */
  used = 0;
  /** Bounds of requests that run, or whose settlement the log has not acknowledged. */
  running = 0;
  /** Most that may be in doubt: the bounds of requests whose admission the log has not acknowledged. Only for money. */
  doubtMax = 0;
  inDoubt = 0;
  /** Amount that remained of the limit after the last grant, without this slice; undefined before it. */
  remaining: number | undefined;

  constructor(bindingId: string, dimension: "money" | "concurrent") {
    this.bindingId = bindingId;
    this.dimension = dimension;
  }

  get free(): number {
    return this.granted - this.returned - this.used - this.running;
  }

  fits(amount: number): boolean {
    if (amount === 0) return true;
    return amount <= this.free && (this.dimension === "concurrent" || this.inDoubt + amount <= this.doubtMax);
  }

  /** Reserves an amount that fits for a request that is about to run. */
  take(amount: number): void {
    this.running += amount;
    if (this.dimension === "money") this.inDoubt += amount;
  }

  /** Notes that the log has acknowledged the admission of a request with this bound. */
  acknowledge(amount: number): void {
    if (this.dimension === "money") this.inDoubt -= amount;
  }

  /**
   * Replaces the bound of a request by what it used, so that the rest is free again. A cost beyond the bound is not taken from the
   * slice, because other requests run on what it has: the service counts it on top.
   */
  settle(bound: number, used: number): void {
    this.running -= bound;
    this.used += Math.min(used, bound);
  }

  /** Applies a service's answer, also one that was overtaken by a later one. */
  grant(granted: number, doubtMax: number): void {
    this.granted = Math.max(this.granted, granted);
    this.doubtMax = Math.max(this.doubtMax, doubtMax);
  }

  /** Gives back up to `amount` of the free part, which can no longer be used here. The service learns of it by the sum `returned`. */
  giveBack(amount: number): number {
    const returned = Math.max(0, Math.min(amount, this.free));
    this.returned += returned;
    return returned;
  }
}
