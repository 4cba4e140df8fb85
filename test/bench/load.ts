import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";

export interface LoadOptions {
  /** Address of the requests; of several, each request takes the next. */
  readonly url: string | readonly string[];
  /** Token of the requests; of several, each request takes the next. */
  readonly key: string | readonly string[];
  readonly model: string;
  /** Content of the message. "Say hello." by default. */
  readonly prompt?: string;
  readonly streamed?: boolean;
  /** Body of the requests, in place of a chat completion. */
  readonly body?: string;
  /** Number of concurrent requests, for each address. */
  readonly concurrency: number;
  readonly durationMs: number;
  /** Requests per second, sent on time whether or not earlier ones are answered. By default each connection sends the next one after an answer. */
  readonly perSecond?: number;
  /** Time at the start of which latencies are not counted, because connections are opened. None by default. */
  readonly uncountedMs?: number;
  /** Called with the status of each answer. True ends the load: no request is sent after it. */
  readonly isOver?: (status: number) => boolean;
}

export interface LoadResult {
  /** Number of answers. */
  readonly answers: number;
  readonly perSecond: number;
  /** Number of answers other than 200. */
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sends small chat completions, on each connection the next one as soon as the last is answered, or at a rate. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { key, concurrency, durationMs, perSecond, uncountedMs = 0, isOver } = options;
  const targets = [options.url].flat().map((url) => new URL(url));
  const connections = perSecond === undefined ? concurrency : concurrency * 4;
  const pools = targets.map(({ origin }) => new Pool(origin, { connections }));
  const heads = [key].flat().map((token) => ({
    "content-type": "application/json",
    authorization: `Bearer ${token}`,
  }));
  const { body = bodyOf(options) } = options;
  const latencies: number[] = [];
  let [answers, failed, sent, isDone] = [0, 0, 0, false];
  const call = async (index: number): Promise<void> => {
    const [path, headers] = [targets[index]?.pathname ?? "/", heads[sent++ % heads.length] ?? {}];
    const started = performance.now();
    const response = await pools[index]?.request({ method: "POST", path, headers, body });
    if (response === undefined) return;
    await response.body.dump({ limit: Infinity });
    answers++;
    if (started >= began + uncountedMs) latencies.push(performance.now() - started);
    if (response.statusCode !== 200) failed++;
    if (isOver?.(response.statusCode) === true) isDone = true;
  };
  const began = performance.now();
  const isRunning = (): boolean => !isDone && performance.now() < began + durationMs;
  const closedLoop = async (_: unknown, slot: number): Promise<void> => {
    while (isRunning()) await call(slot % targets.length);
  };
  if (perSecond === undefined) {
    await Promise.all(Array.from({ length: concurrency * targets.length }, closedLoop));
  } else {
    const calls: Promise<void>[] = [];
    for (; isRunning(); await delay(1)) {
      const due = ((performance.now() - began) / 1_000) * perSecond;
      while (calls.length < due) calls.push(call(calls.length % targets.length));
    }
    await Promise.all(calls);
  }
  const tookMs = performance.now() - began;
  await Promise.all(pools.map((pool) => pool.close()));
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { answers, perSecond: (answers * 1_000) / tookMs, failed, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function bodyOf({ model, prompt = "Say hello.", streamed = false }: LoadOptions): string {
  const messages = [{ role: "user", content: prompt }];
  return JSON.stringify({ model, max_tokens: 16, messages, ...(streamed ? { stream: true } : {}) });
}
