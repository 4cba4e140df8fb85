import { Pool } from "undici";

export interface LoadOptions {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  /** Content of the message. "Say hello." by default. */
  readonly prompt?: string;
  /** Number of concurrent requests. */
  readonly concurrency: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly perSecond: number;
  /** Number of answers other than 200. */
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sends small chat completions, on each connection the next one as soon as the last is answered. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { url, key, model, prompt = "Say hello.", concurrency, durationMs } = options;
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections: concurrency });
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  const body = JSON.stringify({ model, max_tokens: 16, messages: [{ role: "user", content: prompt }] });
  const latencies: number[] = [];
  let failed = 0;
  const until = performance.now() + durationMs;
  const worker = async (): Promise<void> => {
    for (let started = performance.now(); started < until; started = performance.now()) {
      const response = await pool.request({ method: "POST", path: pathname, headers, body });
      await response.body.dump();
      if (response.statusCode !== 200) failed++;
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  await pool.close();
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { perSecond: (latencies.length * 1_000) / durationMs, failed, p50Ms: at(0.5), p99Ms: at(0.99) };
}
