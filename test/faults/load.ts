import { setTimeout as delay } from "node:timers/promises";
import type { SentRequests } from "./ledger.ts";

/** Load: requests, each n once, half of them streams, to the gateways in turn, until it is stopped. */
export interface Load {
  readonly sent: SentRequests;
  /** Number of requests that failed or got no answer. */
  readonly failed: number;
  /** Longest wait of a request for the headers of its answer. */
  readonly slowestMs: number;
  /** Stops sending. Resolves once every request is answered. */
  stop(): Promise<void>;
}

const TIMEOUT_MS = 15_000;
/** Pause after a failure, so that an unreachable gateway is not called in a busy loop. */
const PAUSE_MS = 50;

/** End of a request of the load. */
export interface SentOutcome {
  /** Status of its answer; undefined if it got none. */
  readonly status: number | undefined;
  /** Answer, or the error instead of one. */
  readonly text: string;
  /** Monotonic time at which it was sent. */
  readonly sentAtMs: number;
  readonly endedAtMs: number;
}

export interface LoadOptions {
  /** Requests that run at a time. 12 by default. */
  readonly workers?: number;
  /** Model of the requests. `counted` by default. */
  readonly model?: string;
  /** Cost of request n in micro-USD. n by default. */
  readonly costOf?: (n: number) => number;
  readonly onEnd?: (outcome: SentOutcome) => void;
}

export function startLoad(urls: readonly string[], token: string, options: LoadOptions = {}): Load {
  const { workers = 12, model = "counted", costOf = (n) => n, onEnd = () => {} } = options;
  const answered = new Set<number>();
  const state = { count: 0, failed: 0, slowestMs: 0, isStopped: false };
  const send = async (n: number): Promise<void> => {
    const messages = [{ role: "user", content: "count this" }];
    const sentAtMs = performance.now();
    const end = (status: number | undefined, text: string): void =>
      onEnd({ status, text, sentAtMs, endedAtMs: performance.now() });
    const response = await fetch(`${urls[n % urls.length]}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ model, max_tokens: costOf(n), stream: n % 4 > 1, messages }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: unknown) => {
      end(undefined, String(error));
      throw error;
    });
    state.slowestMs = Math.max(state.slowestMs, performance.now() - sentAtMs);
    const text = await response.text();
    end(response.status, text);
    if (!response.ok || text.includes('"error"')) throw new Error(`${response.status} ${text}`);
    answered.add(n);
  };
  const work = async (): Promise<void> => {
    while (!state.isStopped) {
      try {
        await send(++state.count);
      } catch {
        state.failed++;
        await delay(PAUSE_MS);
      }
    }
  };
  const working = Promise.all(Array.from({ length: workers }, work));
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
      state.isStopped = true;
      await working;
    },
  };
}
