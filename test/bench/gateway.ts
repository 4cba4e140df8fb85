import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode } from "../harness/node.ts";
import { startChild } from "./children.ts";
import { type LoadResult, runLoad } from "./load.ts";

/**
 * Measures small calls without streaming through the gateway of a running node, beside a bare node:http + undici proxy to the same
 * upstream, in one run on one machine: requests per second of both, and the gateway's share.
 */

const CONCURRENCY = 32;
const WARM_UP_MS = 3_000;
const MEASURE_MS = 8_000;
/** Alternating rounds, so that a machine that slows down slows both. */
const ROUNDS = 2;

async function main(): Promise<void> {
  const upstream = await startChild("upstream");
  const proxy = await startChild("proxy", upstream.url);
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
  const providers = join(folder, "providers.yaml");
  await writeFile(providers, providersFile(upstream.url));
  const node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
  try {
    const key = await node.apiKey();
    const results = { proxy: [] as LoadResult[], gateway: [] as LoadResult[] };
    await load(proxy.url, key, WARM_UP_MS);
    await load(node.url, key, WARM_UP_MS);
    for (let round = 0; round < ROUNDS; round++) {
      results.proxy.push(await load(proxy.url, key, MEASURE_MS));
      results.gateway.push(await load(node.url, key, MEASURE_MS));
    }
    const bare = best(results.proxy);
    const governed = best(results.gateway);
    print("bare node:http + undici proxy", bare);
    print("gateway (auth, policy, metering)", governed);
    const share = ((100 * governed.perSecond) / bare.perSecond).toFixed(1);
    process.stdout.write(`share of the bare proxy: ${share} % at ${CONCURRENCY} concurrent requests\n`);
  } finally {
    await node.remove();
    for (const { child } of [upstream, proxy]) child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

function load(url: string, key: string, durationMs: number): Promise<LoadResult> {
  return runLoad({ url: `${url}/v1/chat/completions`, key, concurrency: CONCURRENCY, durationMs, model: "tiny" });
}

function best(results: readonly LoadResult[]): LoadResult {
  return results.reduce((left, right) => (right.perSecond > left.perSecond ? right : left));
}

function print(name: string, { perSecond, failed, p50Ms, p99Ms }: LoadResult): void {
  const figures = `${perSecond.toFixed(0).padStart(7)} requests/s   p50 ${p50Ms.toFixed(1)} ms   p99 ${p99Ms.toFixed(1)} ms`;
  process.stdout.write(`${name.padEnd(34)}${figures}${failed > 0 ? `   ${failed} FAILED` : ""}\n`);
}

function providersFile(url: string): string {
  return `providers:
  - name: bench
    protocol: openai
    base_url: ${url}/v1
    models:
      - {id: tiny, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
`;
}

await main();
