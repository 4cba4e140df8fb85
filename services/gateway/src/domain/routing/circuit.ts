/**
 * Circuit breaker of one model at one provider.
 *
 * Closed: calls are counted over 30 s; 5 failures that are at least half of the calls open it. Open: the model is passed over for
 * 5 s, twice as long after each failed probe, up to a minute. Half-open, once that time is over: one call at a time probes the model; a
 * success closes the circuit, a failure opens it again.
 *
 * Callers may call a model whose circuit is open, if they have no other: its success closes the circuit as well. Constant memory
 * and time.
 */
export class Circuit {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({ ...UNUSED }));
  /** Monotonic time from which an open circuit is half-open; undefined while it is closed. */
  #halfOpenAt: number | undefined;
  /** Number of times that it was opened since a success. */
  #openings = 0;
  /** Permit of the running probe, if there is one. */
  #probe: CallPermit | undefined;
  /** Permit of all other calls until the state changes. */
  #permit: CallPermit = {};

  /** True while the model should be passed over: open, or half-open with a probe under way. */
  isOpen(nowMs: number): boolean {
    return this.#halfOpenAt !== undefined && (nowMs < this.#halfOpenAt || this.#probe !== undefined);
  }

  /** Begins a call, which is the probe of a half-open circuit unless there is one. Each needs its `end`. */
  begin(nowMs: number): CallPermit {
    if (this.#halfOpenAt === undefined || this.isOpen(nowMs)) return this.#permit;
    this.#probe = {};
    return this.#probe;
  }

  /** @param isHealthy undefined if the call says nothing about the model, e.g. a cancelled one */
  end(permit: CallPermit, isHealthy: boolean | undefined, nowMs: number): void {
    const isProbe = permit === this.#probe;
    if (isProbe) this.#probe = undefined;
    // A call from before a change of state is no evidence about the present state.
    if (isHealthy === undefined || (!isProbe && permit !== this.#permit)) return;
    if (this.#halfOpenAt === undefined) this.#count(isHealthy, nowMs);
    else if (isHealthy) this.#close();
    else if (isProbe) this.#open(nowMs);
  }

  #count(isHealthy: boolean, nowMs: number): void {
    const number = Math.floor(nowMs / SLOT_MS);
    const slot = this.#slots[number % SLOTS];
    if (slot === undefined) return;
    if (slot.number !== number) Object.assign(slot, { number, calls: 0, failures: 0 });
    slot.calls++;
    if (isHealthy) return;
    slot.failures++;
    const recent = this.#slots.filter((each) => each.number > number - SLOTS);
    const failures = recent.reduce((sum, each) => sum + each.failures, 0);
    const calls = recent.reduce((sum, each) => sum + each.calls, 0);
    if (failures >= MIN_FAILURES && failures * 2 >= calls) this.#open(nowMs);
  }

  #open(nowMs: number): void {
    this.#halfOpenAt = nowMs + Math.min(MAX_OPEN_MS, FIRST_OPEN_MS * 2 ** this.#openings);
    this.#openings = Math.min(this.#openings + 1, MAX_OPENINGS);
    this.#probe = undefined;
    this.#permit = {};
  }

  #close(): void {
    this.#halfOpenAt = undefined;
    this.#openings = 0;
    this.#probe = undefined;
    this.#permit = {};
    for (const slot of this.#slots) Object.assign(slot, UNUSED);
  }
}

/** Identity of a call, or of all calls since a change of state. */
export type CallPermit = object;

/** Calls that ended within a part of the window. */
interface Slot {
  /** Number of the part since the start of the clock; -1 for none. */
  number: number;
  calls: number;
  failures: number;
}

const UNUSED: Slot = { number: -1, calls: 0, failures: 0 };
const SLOTS = 6;
const SLOT_MS = 5_000;
const MIN_FAILURES = 5;
const FIRST_OPEN_MS = 5_000;
const MAX_OPEN_MS = 60_000;
const MAX_OPENINGS = 10;
