import type { Server } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { counter } from "@routeplane/runtime";

const closed = counter({
  name: "routeplane_gateway_connections_closed_total",
  help: "Connections closed at ROUTEPLANE_MAX_CONNECTIONS, by reason: replaced (silent for longest), refused (new, while all are in use).",
  labels: ["reason"],
});

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
/** Part of that time without any request, after which no further request is expected. */
const QUIET_PART = 5;
/** Multiple of that time for which new connections are accepted while they keep coming: load balancers take up to 15 s to act on probes. */
const LISTEN_LINGERS = 3;
const POLL_MS = 25;

/**
 * Open connections of the server, which are bounded in number, and which a drain empties without the loss of a request.
 *
 * At the bound a new connection takes the place of the one that has been silent for longest: one on which no request has come yet, else one
 * that was kept alive. So clients that open connections and send nothing, or send it slowly, close each other's. A new connection is
 * refused only if every other has a request.
 *
 * A client may send its next request on a kept connection at any moment, and the request is lost if the connection is closed just then. So
 * the drain closes no connection that is in use: the next answer on each says `Connection: close`. A connection without a request for 5 s
 * is closed as idle.
 */
export class Connections {
  readonly #max: number;
  /** Connections without any request yet, oldest first, with the monotonic time at which they were opened. */
  readonly #fresh = new Map<Socket, number>();
  /** Connections that have had a request and have none now, with the monotonic time since which, oldest first. */
  readonly #kept = new Map<Socket, number>();
  /** Connections with a request. */
  readonly #busy = new Set<Socket>();
  /** Monotonic time of the last new connection or request. */
  #usedAt = 0;

  /** @param max bound of their number */
  constructor(max: number) {
    this.#max = max;
  }

  /** Adds a new connection. @returns false if there is no place for it */
  add(socket: Socket): boolean {
    if (this.size >= this.#max && !this.#closeIdle()) {
      closed.inc({ reason: "refused" });
      return false;
    }
    this.#usedAt = performance.now();
    this.#fresh.set(socket, this.#usedAt);
    socket.once("close", () => this.#remove(socket));
    return true;
  }

  /** Records that a request has arrived on the connection. */
  markBusy(socket: Socket): void {
    this.#usedAt = performance.now();
    if (this.#kept.delete(socket) || this.#fresh.delete(socket)) this.#busy.add(socket);
  }

  /** Records that every request on the connection has its answer. */
  markIdle(socket: Socket): void {
    if (this.#busy.delete(socket)) this.#kept.set(socket, performance.now());
  }

  #remove(socket: Socket): void {
    this.#fresh.delete(socket);
    this.#kept.delete(socket);
    this.#busy.delete(socket);
  }

  /** Closes the connection that has been silent for longest. @returns false if none is */
  #closeIdle(): boolean {
    const [socket] = this.#fresh.size > 0 ? this.#fresh.keys() : this.#kept.keys();
    if (socket === undefined) return false;
    closed.inc({ reason: "replaced" });
    this.#remove(socket);
    socket.destroy();
    return true;
  }

  get size(): number {
    return this.#fresh.size + this.#kept.size + this.#busy.size;
  }

  /**
   * Resolves once no connection is left, the time is over or the signal is aborted. New connections are accepted until none has come for a
   * second, and for 15 s at most: it takes time until every client knows that this process is stopping.
   */
  async drain(server: Server, { timeoutMs, signal }: DrainOptions): Promise<void> {
    const startedAt = performance.now();
    const lingerMs = Math.min(MAX_LINGER_MS, timeoutMs / LINGER_PART);
    let isListening = true;
    while (!signal.aborted) {
      const now = performance.now();
      for (const idle of [this.#fresh, this.#kept]) {
        for (const [socket, since] of idle) {
          if (now - Math.max(since, startedAt) >= lingerMs) socket.destroySoon();
        }
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
