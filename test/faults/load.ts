import { setTimeout as delay } from "node:timers/promises";
import type { Sent } from "./ledger.ts";

/** Requests that are sent until they are told to stop: each n once, every other one a stream, to the gateways in turn. */
export interface Load {
  readonly sent: Sent;
  /** Answers that were no success, or none at all. */
  readonly failed: number;
  /** The longest that a request waited for its answer to begin, in milliseconds. */
  readonly slowestMs: number;
  /** Resolves once all that were sent are answered. */
  stop(): Promise<void>;
}

const WORKERS = 12;
const TIMEOUT_MS = 15_000;
/** After a refused connection, so that a gateway that is away is not asked in a busy loop. */
const PAUSE_MS = 50;

export function startLoad(urls: readonly string[], token: string): Load {
  const answered = new Set<number>();
  const state = { count: 0, failed: 0, slowestMs: 0, stopped: false };
  const send = async (n: number): Promise<void> => {
    const messages = [{ role: "user", content: "count this" }];
    const started = performance.now();
    const response = await fetch(`${urls[n % urls.length]}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "counted", max_tokens: n, stream: n % 4 > 1, messages }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    state.slowestMs = Math.max(state.slowestMs, performance.now() - started);
    const text = await response.text();
    if (!response.ok || text.includes('"error"')) throw new Error(`${response.status} ${text}`);
    answered.add(n);
  };
  const work = async (): Promise<void> => {
    while (!state.stopped) {
      try {
        await send(++state.count);
      } catch {
        state.failed++;
        await delay(PAUSE_MS);
      }
    }
  };
  const working = Promise.all(Array.from({ length: WORKERS }, work));
  return {
    sent: {
      get count() {
        return state.count;
      },
      answered,
    },
    get failed() {
      return state.failed;
    },
    get slowestMs() {
      return state.slowestMs;
    },
    async stop() {
      state.stopped = true;
      await working;
    },
  };
}
