import { type LoadOptions, type LoadResult, runLoad } from "../load.ts";
import { median } from "../times.ts";
import type { BenchNode } from "./bench-node.ts";
import { keyUnderBudget } from "./cases.ts";
import { printCase, type Round } from "./report.ts";
import { measureNode, measureProxy } from "./window.ts";

/** Requests that the budget is large enough for, and the share of them after which the end of the budget begins. */
const REQUESTS = 4_000;
const BEFORE_END = 0.9;
/** Cost of a request: 12 tokens of input at 1 micro-USD and 2 of output at 2. */
const COST_MICRO_USD = 16;
/** Refusals in a row after which the budget counts as used up. */
const REFUSALS = 200;
const TIME_LIMIT_MS = 120_000;

interface NearLimitOptions {
  readonly rounds: number;
  readonly concurrency: number;
}

/**
 * Measures the last 10 % of a budget, until it refuses everything: how much of the budget was usable, and the cost of a request there,
 * refused ones included. Each round has a budget of its own.
 */
export async function measureNearLimit(
  bench: BenchNode,
  { proxyUrl, proxyPid }: { readonly proxyUrl: string; readonly proxyPid: number },
  { rounds, concurrency }: NearLimitOptions,
): Promise<void> {
  const measured: Round[] = [];
  const usable: number[] = [];
  let refusedEarly = 0;
  for (let round = 0; round < rounds; round++) {
    const key = await keyUnderBudget(bench.node, `near-${round}`, REQUESTS * COST_MICRO_USD);
    const load = { key, model: "tiny", concurrency, durationMs: TIME_LIMIT_MS };
    const onNode = { ...load, url: `${bench.node.url}/v1/chat/completions` };
    const early = await useUp(bench, onNode, BEFORE_END * REQUESTS);
    const proxyLoad = { ...load, url: `${proxyUrl}/v1/chat/completions`, durationMs: 1_000 };
    const proxy = await measureProxy(proxyPid, proxyLoad);
    const window = await measureNode(bench, { ...onNode, isOver: afterRefusals() });
    const proxyAtRate = await measureProxy(proxyPid, { ...proxyLoad, perSecond: window.result.perSecond });
    refusedEarly += early.failed;
    usable.push((early.answers - early.failed + window.result.answers - window.result.failed) / REQUESTS);
    // At the end of a budget refusals are expected.
    measured.push({ proxy, proxyAtRate, window: { ...window, result: { ...window.result, failed: 0 } } });
  }
  printCase("last 10 % of a budget", measured);
  const share = (100 * median(usable)).toFixed(1);
  process.stdout.write(
    `  of the budget usable: ${share} %; refused before its last 10 %: ${refusedEarly} in all rounds\n`,
  );
}

/** Sends about `count` requests, and waits until they are recorded. */
async function useUp(bench: BenchNode, load: LoadOptions, count: number): Promise<LoadResult> {
  let answered = 0;
  const recorded = await bench.requestCount();
  const result = await runLoad({ ...load, isOver: () => ++answered >= count - load.concurrency });
  await bench.untilRecorded(recorded + result.answers - result.failed);
  return result;
}

function afterRefusals(): (status: number) => boolean {
  let refusals = 0;
  return (status) => {
    refusals = status === 200 ? 0 : refusals + 1;
    return refusals >= REFUSALS;
  };
}
