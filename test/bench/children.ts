import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** Starts one of the processes of `servers.ts`. @returns the process and its address */
export async function startChild(
  role: string,
  ...args: readonly string[]
): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(join(import.meta.dirname, "servers.ts"), [role, ...args]);
  const [url] = (await once(child, "message")) as [string];
  return { url, child };
}
