/**
 * Signal that a request is cancelled: the part of an `AbortSignal` that the gateway needs. Every request has one, and an
 * `AbortController` with its events took ten times as long.
 */
export interface CancelSignal {
  readonly aborted: boolean;
  /** Reason of the cancellation; undefined before it. */
  readonly reason: unknown;
  /** @throws the reason, once it is aborted */
  throwIfAborted(): void;
  /** Adds a listener, which is called at most once. */
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Source of a `CancelSignal`, and the signal itself. */
export class Cancellation implements CancelSignal {
  aborted = false;
  reason: unknown;
  #listeners: Set<() => void> | undefined;

  /** Cancels, and calls the listeners. Has no effect after the first time. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const listeners = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of listeners) listener();
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners?.delete(listener);
  }
}
