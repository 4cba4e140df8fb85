import type { Server } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface DrainOptions {
  /** Longest time for running requests. */
  readonly timeoutMs: number;
  /** Ends the drain early. */
  readonly signal: AbortSignal;
}

/** Longest time for which a connection that was kept alive waits for its next request, whose answer closes it. */
const MAX_LINGER_MS = 5_000;
/** Part of the drain's time that a kept connection may wait. */
const LINGER_PART = 10;
/** Part of that, without any request, after which nobody is taken to come any more. */
const QUIET_PART = 5;
/** Multiple of that for which new connections are taken if they keep coming: load balancers take up to 15 s to see what probes say. */
const LISTEN_LINGERS = 3;
const POLL_MS = 25;

/**
 * Open connections of the server, which a drain empties without the loss of a request. A client may send its next request on a
 * kept connection at any moment, and one that is closed just then loses it. So the drain closes no connection that is in use: the
 * next answer on each says `Connection: close`. One on which nothing comes for 5 s is closed as idle.
 */
export class Connections {
  /** Monotonic time since which a connection has no request; Infinity while it has one. */
  readonly #idleSince = new Map<Socket, number>();
  /** Monotonic time of the last new connection or request. */
  #usedAt = 0;

  add(socket: Socket): void {
    this.#usedAt = performance.now();
    this.#idleSince.set(socket, this.#usedAt);
    socket.once("close", () => this.#idleSince.delete(socket));
  }

  /** Records that a request has arrived on the connection. */
  markBusy(socket: Socket): void {
    this.#usedAt = performance.now();
    if (this.#idleSince.has(socket)) this.#idleSince.set(socket, Infinity);
  }

  /** Records that every request on the connection has its answer. */
  markIdle(socket: Socket): void {
    if (this.#idleSince.has(socket)) this.#idleSince.set(socket, performance.now());
  }

  get size(): number {
    return this.#idleSince.size;
  }

  /**
   * Resolves once no connection is left, the time is over or the signal is aborted. New connections are taken until none has come for
   * a second, and for 15 s at most: the news that this process is going takes time to reach every client.
   */
  async drain(server: Server, { timeoutMs, signal }: DrainOptions): Promise<void> {
    const startedAt = performance.now();
    const lingerMs = Math.min(MAX_LINGER_MS, timeoutMs / LINGER_PART);
    let isListening = true;
    while (!signal.aborted) {
      const now = performance.now();
      for (const [socket, idleSince] of this.#idleSince) {
        if (now - Math.max(idleSince, startedAt) >= lingerMs) socket.destroySoon();
      }
      const isQuiet = now - Math.max(this.#usedAt, startedAt) >= lingerMs / QUIET_PART;
      if (isListening && ((isQuiet && this.size === 0) || now - startedAt >= LISTEN_LINGERS * lingerMs)) {
        // The method of `http.Server` would close idle connections too.
        NetServer.prototype.close.call(server);
        isListening = false;
      }
      if ((!isListening && this.size === 0) || now - startedAt >= timeoutMs) return;
      await delay(POLL_MS, undefined, { signal }).catch(() => {});
    }
  }
}
