import { cpus } from "node:os";
import { type Loader, startLoader } from "../children.ts";
import { preferProcesses } from "../cores.ts";
import type { LoadOptions, LoadResult } from "../load.ts";
import { median } from "../times.ts";
import type { BenchNode } from "./bench-node.ts";
import { CASES } from "./cases.ts";

interface HalfLoadOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly concurrency: number;
  readonly warmUpMs: number;
}

interface Servers {
  readonly proxyUrl: string;
  readonly upstreamPid: number;
}

/** Result of a load at a rate, and the share of the machine's CPU time that was in use. */
interface RateResult extends LoadResult {
  readonly busy: number;
}

/** Parts of the highest rate at which latencies are measured: half and a quarter. */
const PARTS = [2, 4];
/** Time in which a load opens its connections, and the node acquires slices. */
const UNCOUNTED_MS = 1_000;

/** Measures the latency that the node adds to that of the bare proxy at half and a quarter of its highest rate, with everything on. */
export async function measureHalfLoad(
  { node }: BenchNode,
  { proxyUrl, upstreamPid }: Servers,
  { rounds, seconds, concurrency, warmUpMs }: HalfLoadOptions,
): Promise<void> {
  const target = await CASES["everything"]?.prepare(node, "half");
  if (target === undefined) throw new Error("there is no case of everything");
  const load = { key: target.tokens, model: target.model, concurrency, durationMs: seconds * 1_000 };
  const onNode = { ...load, url: `${node.url}/v1/chat/completions` };
  const onProxy = { ...load, url: `${proxyUrl}/v1/chat/completions` };
  preferProcesses(upstreamPid);
  const loader = startLoader();
  try {
    await loader.run({ ...onNode, durationMs: warmUpMs });
    const highest = (await loader.run(onNode)).perSecond;
    for (const part of PARTS) {
      const results = { node: [] as RateResult[], proxy: [] as RateResult[] };
      for (let round = 0; round < rounds; round++) {
        results.proxy.push(await runAt(loader, highest / part, onProxy));
        results.node.push(await runAt(loader, highest / part, onNode));
      }
      print(highest / part, part, results);
    }
  } finally {
    loader.stop();
  }
}

async function runAt(loader: Loader, perSecond: number, load: LoadOptions): Promise<RateResult> {
  const before = cpuTimes();
  const result = await loader.run({ ...load, perSecond, uncountedMs: UNCOUNTED_MS });
  const after = cpuTimes();
  return { ...result, busy: 1 - (after.idle - before.idle) / (after.all - before.all) };
}

function print(
  perSecond: number,
  part: number,
  { node, proxy }: { readonly node: readonly RateResult[]; readonly proxy: readonly RateResult[] },
): void {
  const failed = [...node, ...proxy].reduce((sum, result) => sum + result.failed, 0);
  const medianOf = (results: readonly RateResult[], figure: "p50Ms" | "p99Ms" | "busy"): number =>
    median(results.map((result) => result[figure]));
  const of = (figure: "p50Ms" | "p99Ms"): string => {
    const [onNode, onProxy] = [medianOf(node, figure), medianOf(proxy, figure)];
    return `${onNode.toFixed(2)} ms, proxy ${onProxy.toFixed(2)} ms, added ${(onNode - onProxy).toFixed(2)} ms`;
  };
  const busy = [node, proxy].map((results) => `${(100 * medianOf(results, "busy")).toFixed(0)} %`);
  process.stdout.write(
    `at 1/${part} of the highest rate, ${perSecond.toFixed(0)} requests/s, everything on: p50 ${of("p50Ms")}; p99 ${of("p99Ms")}; ` +
      `cores busy ${busy[0]}, with the proxy ${busy[1]}; ${failed} failed\n`,
  );
}

/** CPU time of all cores since the start of the machine, in milliseconds. */
function cpuTimes(): { readonly idle: number; readonly all: number } {
  const times = cpus().map((core) => core.times);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return { idle: sum(times.map(({ idle }) => idle)), all: sum(times.flatMap((each) => Object.values(each))) };
}
