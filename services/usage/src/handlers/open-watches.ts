import { DomainError } from "@routeplane/domain";

/** Streams of one credential that are open at a time. */
const MAX_OPEN = 5;

/** Counts the open streams of each credential. */
export class OpenWatches {
  readonly #open = new Map<string, number>();

  /**
   * Opens one, which ends with the call whatever its handler waits for.
   *
   * @returns a function that ends it; calling it again does nothing
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
      const left = (this.#open.get(credentialId) ?? 1) - 1;
      if (left === 0) this.#open.delete(credentialId);
      else this.#open.set(credentialId, left);
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
