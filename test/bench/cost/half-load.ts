import { type LoadResult, runLoad } from "../load.ts";
import { median } from "../times.ts";
import type { BenchNode } from "./bench-node.ts";
import { CASES } from "./cases.ts";

interface HalfLoadOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly concurrency: number;
  readonly warmUpMs: number;
}

/** Measures the latency that the node adds to that of the bare proxy at half of its highest rate, with everything on. */
export async function measureHalfLoad(
  { node }: BenchNode,
  { proxyUrl }: { readonly proxyUrl: string },
  { rounds, seconds, concurrency, warmUpMs }: HalfLoadOptions,
): Promise<void> {
  const target = await CASES["everything"]?.prepare(node, "half");
  if (target === undefined) throw new Error("there is no case of everything");
  const load = { key: target.tokens, model: target.model, concurrency, durationMs: seconds * 1_000 };
  const onNode = { ...load, url: `${node.url}/v1/chat/completions` };
  const onProxy = { ...load, url: `${proxyUrl}/v1/chat/completions` };
  await runLoad({ ...onNode, durationMs: warmUpMs });
  const highest = (await runLoad(onNode)).perSecond;
  const results = { node: [] as LoadResult[], proxy: [] as LoadResult[] };
  for (let round = 0; round < rounds; round++) {
    results.proxy.push(await runLoad({ ...onProxy, perSecond: highest / 2 }));
    results.node.push(await runLoad({ ...onNode, perSecond: highest / 2 }));
  }
  const failed = [...results.node, ...results.proxy].reduce((sum, result) => sum + result.failed, 0);
  const of = (figure: "p50Ms" | "p99Ms"): string => {
    const [onNode, onProxy] = [results.node, results.proxy].map((all) => median(all.map((result) => result[figure])));
    return `${onNode?.toFixed(2)} ms, proxy ${onProxy?.toFixed(2)} ms, added ${((onNode ?? 0) - (onProxy ?? 0)).toFixed(2)} ms`;
  };
  process.stdout.write(
    `at half of ${highest.toFixed(0)} requests/s, everything on: p50 ${of("p50Ms")}; p99 ${of("p99Ms")}; ${failed} failed\n`,
  );
}
