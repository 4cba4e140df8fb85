import { setTimeout as delay } from "node:timers/promises";

/** A request that failed: it got no answer, or one other than 200. */
export interface Failure {
  /** Time at which it was sent and at which it failed, in milliseconds of the monotonic clock. */
  readonly sentAt: number;
  readonly failedAt: number;
  readonly reason: string;
}

/**
 * Load at a constant rate, to the addresses in turn, with a bound on the requests that run at a time, so that a busy machine gets
 * fewer instead of more than it can serve. Every failed request is counted.
 */
export interface Load {
  readonly sent: number;
  readonly failures: readonly Failure[];
  /** Longest wait for an answer, in milliseconds. */
  readonly slowestMs: number;
  /** Stops sending. Resolves once every request has its answer. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  /** Addresses that are sent to, read for every request. */
  readonly urls: () => readonly string[];
  readonly perSecond: number;
  /** Maximum number of requests that run at a time. */
  readonly maxRunning: number;
  /** Request number n. */
  readonly request: (n: number) => { readonly path: string; readonly token: string; readonly body: unknown };
}

const TIMEOUT_MS = 20_000;
const TICK_MS = 20;

export function startLoad({ urls, perSecond, maxRunning, request }: LoadOptions): Load {
  const failures: Failure[] = [];
  const running = new Set<Promise<void>>();
  const state = { sent: 0, slowestMs: 0, isStopped: false };
  const send = async (n: number): Promise<void> => {
    const sentAt = performance.now();
    const { path, token, body } = request(n);
    const targets = urls();
    try {
      const response = await fetch(`${targets[n % targets.length]}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${response.status} ${text}`);
    } catch (error) {
      const { message, cause } = error as Error;
      failures.push({
        sentAt,
        failedAt: performance.now(),
        reason: `${message} ${cause instanceof Error ? cause.message : ""}`.trim(),
      });
    }
    state.slowestMs = Math.max(state.slowestMs, performance.now() - sentAt);
  };
  const run = async (): Promise<void> => {
    let due = 0;
    for (let before = performance.now(); !state.isStopped;) {
      const now = performance.now();
      due = Math.min(due + ((now - before) / 1_000) * perSecond, perSecond);
      before = now;
      for (; due >= 1 && running.size < maxRunning; due--) {
        const sending = send(state.sent++);
        running.add(sending);
        void sending.finally(() => running.delete(sending));
      }
      await delay(TICK_MS);
    }
  };
  const sending = run();
  return {
    get sent() {
      return state.sent;
    },
    failures,
    get slowestMs() {
      return state.slowestMs;
    },
    async stop() {
      state.isStopped = true;
      await sending;
      await Promise.all(running);
    },
  };
}

/** A small inference request to the local model. */
export function chat(token: string) {
  const messages = [{ role: "user", content: "hello" }];
  return { path: "/v1/chat/completions", token, body: { model: "echo", max_tokens: 8, messages } };
}

/** A call that the gateway relays to the auth service. */
export function whoAmI(token: string) {
  return { path: "/routeplane.auth.v1.IdentityService/WhoAmI", token, body: {} };
}

/** Seconds from the first to the last failed request; 0 if there is none. */
export function secondsOf(failures: readonly Failure[]): number {
  if (failures.length === 0) return 0;
  const from = Math.min(...failures.map(({ sentAt }) => sentAt));
  return (Math.max(...failures.map(({ sentAt }) => sentAt)) - from) / 1_000;
}
