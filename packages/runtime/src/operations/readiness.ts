/** One part of the readiness of a process, set by the component that it belongs to. */
export interface Condition {
  /** Marks the condition as met. */
  pass(): void;
  /** Marks the condition as not met. @param reason state in a few words, e.g. `migration 0011 is not applied` */
  fail(reason: string): void;
}

/**
 * Readiness of a process to take work: the conjunction of named conditions about the process itself, e.g. `started`, `schema`,
 * `spool`, `draining`. Dependencies are not conditions: while one does not answer, callers get an error that names it; taking every replica
 * out of service would leave them with none.
 *
 * A condition is not met until it is first set. `runProcess` sets `started` and `draining`.
 */
export class Readiness {
  /** Reasons of conditions that are not met, undefined for those that are; keyed by name. */
  readonly #reasons = new Map<string, string | undefined>();
  readonly #started = this.condition("started");
  #isDraining = false;

  /** Adds a condition that is not met yet, or returns the one that was added under this name. */
  condition(name: string): Condition {
    if (!this.#reasons.has(name)) this.#reasons.set(name, "not known yet");
    return {
      pass: () => void this.#reasons.set(name, undefined),
      fail: (reason) => void this.#reasons.set(name, reason),
    };
  }

  get isReady(): boolean {
    return [...this.#reasons.values()].every((reason) => reason === undefined);
  }

  /** True from the stop signal on. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** States of all conditions: `ok`, or the reason why one is not met. */
  states(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#reasons].map(([name, reason]) => [name, reason ?? "ok"]));
  }

  /** Records that all components have started. */
  markStarted(): void {
    this.#started.pass();
    if (!this.#isDraining) this.condition("draining").pass();
  }

  /** Records that the process is stopping. It never becomes ready again. */
  markDraining(): void {
    this.#isDraining = true;
    this.condition("draining").fail("the process is stopping");
  }
}
