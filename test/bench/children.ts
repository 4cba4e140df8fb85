import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { preferProcesses } from "./cores.ts";
import type { LoadOptions, LoadResult } from "./load.ts";

/** Starts one of the processes of `servers.ts`. @returns the process and its address */
export async function startChild(
  role: string,
  ...args: readonly string[]
): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(join(import.meta.dirname, "servers.ts"), [role, ...args]);
  const [url] = (await once(child, "message")) as [string];
  return { url, child };
}

/** Process that sends load. */
export interface Loader {
  readonly run: (load: Omit<LoadOptions, "isOver">) => Promise<LoadResult>;
  readonly stop: () => void;
}

/** Options of a loader: with a large young space it seldom pauses for a garbage collection. */
const LOADER_OPTIONS = ["--max-semi-space-size=64"];

/**
 * Starts a process that sends load, with priority over all others: on a machine of its own a client would not wait for these cores, so
 * latencies should not include such waits.
 */
export function startLoader(): Loader {
  const execArgv = [...process.execArgv, ...LOADER_OPTIONS];
  const child = fork(join(import.meta.dirname, "loader.ts"), { execArgv });
  preferProcesses(child.pid);
  return {
    async run(load) {
      child.send(load);
      const [result] = (await once(child, "message")) as [LoadResult];
      return result;
    },
    stop: () => void child.kill(),
  };
}
