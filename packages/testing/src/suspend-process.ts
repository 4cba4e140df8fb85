import { readdirSync, readFileSync } from "node:fs";

const TIMEOUT_MS = 10_000;

/**
 * Suspends a process. When this function returns, all threads are stopped. After the signal, a thread on another core still runs for some
 * time, long enough to answer a request.
 *
 * @throws Error if a thread is not stopped after 10 s
 */
export function suspendProcess(pid: number): void {
  // For `kill`, 0 means the process group of this process.
  if (pid <= 0) throw new RangeError("the process has no id");
  process.kill(pid, "SIGSTOP");
  const until = performance.now() + TIMEOUT_MS;
  while (!isStopped(pid)) {
    if (performance.now() > until) throw new Error(`process ${pid} is not stopped after ${TIMEOUT_MS} ms`);
  }
}

function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).every((task) => {
    const stat = readFileSync(`${tasks}/${task}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}
