import { suspendProcess } from "@routeplane/testing";
import { childrenOf, isAlive, parentOf, type TestNode } from "../harness/index.ts";

export type Way = "suspended" | "killed";

/**
 * Runs `work` while a process is suspended with its children, or while it is dead and its supervisor suspended, so that no process of the
 * node is started again.
 */
export async function whileAway(node: TestNode, role: string, way: Way, work: () => Promise<void>): Promise<void> {
  const pid = await node.pid(role);
  if (pid === undefined) throw new Error(`${role} does not run`);
  const stopped = way === "suspended" ? [pid, ...(await childrenOf(pid))] : [await parentOf(pid)];
  for (const each of stopped) suspendProcess(each);
  try {
    if (way === "killed") process.kill(pid, "SIGKILL");
    await work();
  } finally {
    for (const each of stopped) if (isAlive(each)) process.kill(each, "SIGCONT");
  }
}
