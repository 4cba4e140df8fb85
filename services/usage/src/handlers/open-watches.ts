import { DomainError } from "@routeplane/domain";

/** Upper bound of the open streams of one session, or of a key's own token. */
const MAX_OPEN = 5;
/** Upper bound of the open streams of a key, including those of the sessions that act as it. */
const MAX_OPEN_OF_KEY = 50;

/** The key that a stream is opened as, and the session that acts as it. */
export interface Watcher {
  readonly keyId: string;
  /** Undefined for a call with the key's own token. */
  readonly sessionId?: string | undefined;
}

/**
 * Counts open WatchRequests streams. Each session has its own bound, so that people who share a key or an operator credential do not use up
 * each other's streams. The key has a bound too, because it may open many sessions.
 */
export class OpenWatches {
  readonly #open = new Map<string, number>();

  /**
   * Counts a stream until it is closed, or its call is aborted, even while the handler still waits.
   *
   * @returns the function that closes it; calling it again has no effect
   * @throws DomainError RESOURCE_EXHAUSTED `LIMIT_REACHED`
   */
  open({ keyId, sessionId }: Watcher, signal: AbortSignal): () => void {
    const own = sessionId ?? `own ${keyId}`;
    if (this.#countOf(own) >= MAX_OPEN) throw tooMany(sessionId === undefined ? "credential" : "session", MAX_OPEN);
    if (this.#countOf(keyId) >= MAX_OPEN_OF_KEY) throw tooMany("key, by all of its sessions,", MAX_OPEN_OF_KEY);
    for (const name of [own, keyId]) this.#open.set(name, this.#countOf(name) + 1);
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      signal.removeEventListener("abort", close);
      for (const name of [own, keyId]) this.#release(name);
    };
    signal.addEventListener("abort", close);
    if (signal.aborted) close();
    return close;
  }

  #countOf(name: string): number {
    return this.#open.get(name) ?? 0;
  }

  #release(name: string): void {
    const remaining = this.#countOf(name) - 1;
    if (remaining > 0) this.#open.set(name, remaining);
    else this.#open.delete(name);
  }
}

function tooMany(who: string, limit: number): DomainError {
  const message = `this ${who} watches requests ${limit} times already: end one of the streams first`;
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata: { limit: String(limit) } });
}
