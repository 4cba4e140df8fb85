import { isIPv6 } from "node:net";

/** Maximum number of failures of a client in one window, and the length of the window. */
const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;
/** Maximum number of clients that are remembered. A new one replaces the one that failed first. */
const MAX_CLIENTS = 10_000;

/**
 * Rate limiter of failed sign-ins by client address. It bounds the calls to auth that guesses cause; codes and tokens themselves are too
 * long to guess. IPv6 clients are counted by their /64 network, because one client can have all of its addresses.
 */
export class FailureRate {
  readonly #monotonic: () => number;
  readonly #clients = new Map<string, { failures: number; readonly endsAt: number }>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Returns the seconds after which the client may try again; 0 means now. */
  waitOf(address: string): number {
    const window = this.#windowOf(address);
    if (window === undefined || window.failures < MAX_FAILURES) return 0;
    return Math.ceil((window.endsAt - this.#monotonic()) / 1_000);
  }

  /**
   * Counts a sign-in of the client as failed from its beginning, so that concurrent ones are bounded too.
   *
   * @returns a function to be called if it has not failed
   */
  begin(address: string): () => void {
    const window = this.#windowOf(address) ?? this.#openWindow(address);
    window.failures += 1;
    return () => void (window.failures -= 1);
  }

  #openWindow(address: string) {
    const client = clientOf(address);
    this.#clients.delete(client);
    const [first] = this.#clients.keys();
    if (first !== undefined && this.#clients.size >= MAX_CLIENTS) this.#clients.delete(first);
    const window = { failures: 0, endsAt: this.#monotonic() + WINDOW_MS };
    this.#clients.set(client, window);
    return window;
  }

  #windowOf(address: string) {
    const window = this.#clients.get(clientOf(address));
    return window !== undefined && window.endsAt > this.#monotonic() ? window : undefined;
  }
}

function clientOf(address: string): string {
  if (!isIPv6(address) || address.startsWith("::ffff:")) return address;
  const [head = ""] = address.split("::");
  const groups = address.includes("::") ? [...head.split(":").filter(Boolean), "0", "0", "0"] : address.split(":");
  return groups.slice(0, 4).join(":");
}
