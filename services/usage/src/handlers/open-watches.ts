import { DomainError } from "@routeplane/domain";

/** Upper bound of the open streams of one credential. */
const MAX_OPEN = 5;

/** Number of open WatchRequests streams, counted by credential. */
export class OpenWatches {
  readonly #open = new Map<string, number>();

  /**
   * Counts a stream until it is closed, or its call is aborted, even while the handler still waits.
   *
   * @returns the function that closes it; calling it again has no effect
   * @throws DomainError RESOURCE_EXHAUSTED `LIMIT_REACHED`
   */
  open(credentialId: string, signal: AbortSignal): () => void {
    const count = this.#open.get(credentialId) ?? 0;
    if (count >= MAX_OPEN) throw tooMany();
    this.#open.set(credentialId, count + 1);
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      signal.removeEventListener("abort", close);
      const remaining = (this.#open.get(credentialId) ?? 1) - 1;
      if (remaining === 0) this.#open.delete(credentialId);
      else this.#open.set(credentialId, remaining);
    };
    signal.addEventListener("abort", close);
    if (signal.aborted) close();
    return close;
  }
}

function tooMany(): DomainError {
  const message = `this credential watches requests ${MAX_OPEN} times already: end one of the streams first`;
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata: { limit: String(MAX_OPEN) } });
}
