import { type LoadOptions, type LoadResult, runLoad } from "../load.ts";
import { familyCpuSeconds } from "../times.ts";
import type { BenchNode } from "./bench-node.ts";
import { type ByRole, mapRoles, type Memory, memoryByRole, type Role, ROLES } from "./node-figures.ts";

/** Figures of one window of load on the node. */
export interface Window {
  readonly result: LoadResult;
  /** CPU time per request of each role, in milliseconds: up to the moment when everything that the requests caused is done. */
  readonly cpuMs: ByRole;
  /** Memory at the end of the load. */
  readonly memory: Readonly<Record<Role, Memory>>;
}

/** Figures of the same load on the bare proxy. */
export interface ProxyWindow {
  readonly result: LoadResult;
  readonly cpuMs: number;
}

/** Loads the node, and waits until all of its requests are recorded. @throws Error if a request fails that may not */
export async function measureNode(bench: BenchNode, load: LoadOptions): Promise<Window> {
  const [before, recorded] = [await bench.cpu(), await bench.requestCount()];
  const result = await runLoad(load);
  const memory = await memoryByRole(bench.node);
  await bench.untilRecorded(recorded + result.answers - result.failed);
  const after = await bench.cpu();
  return { result, cpuMs: mapRoles((role) => ((after[role] - before[role]) * 1_000) / result.answers), memory };
}

export async function measureProxy(pid: number, load: LoadOptions): Promise<ProxyWindow> {
  const before = await familyCpuSeconds(pid);
  const result = await runLoad(load);
  return { result, cpuMs: (((await familyCpuSeconds(pid)) - before) * 1_000) / result.answers };
}

/** CPU time per request of all roles together, in milliseconds. */
export function nodeMs({ cpuMs }: Pick<Window, "cpuMs">): number {
  return ROLES.reduce((sum, role) => sum + cpuMs[role], 0);
}
