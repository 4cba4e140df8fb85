/** Time within which responses to calls of a replaced session may still arrive. */
const REMEMBERED_MS = 60_000;
const MAX_SESSIONS = 10_000;

/**
 * Sessions that this process has exchanged or ended in the last minute. A call made with such a session is refused, but by then the browser
 * has another cookie, which the refusal must not remove.
 */
export class ReplacedSessions {
  readonly #monotonic: () => number;
  /** Monotonic time of the replacement by session id, oldest first. */
  readonly #replacedAt = new Map<string, number>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Records that a session is about to be replaced. */
  add(session: string): void {
    this.#replacedAt.delete(session);
    const [first] = this.#replacedAt.keys();
    if (first !== undefined && this.#replacedAt.size >= MAX_SESSIONS) this.#replacedAt.delete(first);
    this.#replacedAt.set(session, this.#monotonic());
  }

  has(session: string): boolean {
    const replacedAt = this.#replacedAt.get(session);
    return replacedAt !== undefined && this.#monotonic() - replacedAt < REMEMBERED_MS;
  }
}
