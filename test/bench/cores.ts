import { execFileSync } from "node:child_process";
import { availableParallelism, setPriority } from "node:os";

/** Core of the measured processes, and core of all others. */
const [MEASURED, OTHERS] = ["0", "1"];
/** Priority of the processes that measure latencies: others on the same core wait for them. */
const TIMING_PRIORITY = -15;

/**
 * True if CORES=separate: a measured process has a core to itself, so that its latencies include no wait for a core. Everything else shares
 * another one. Needs Linux, root and two cores.
 */
export const HAS_SEPARATE_CORES = process.env["CORES"] === "separate";

/** Moves this process to the core of all others; those that it starts follow. Called before it starts any. */
export function leaveMeasuredCore(): void {
  if (!HAS_SEPARATE_CORES) return;
  if (availableParallelism() < 2) throw new Error("CORES=separate needs two cores");
  moveTo(OTHERS, process.pid);
}

/** Moves processes to the core for measured processes. Only one of them may have work at a time. */
export function giveMeasuredCore(...pids: readonly (number | undefined)[]): void {
  if (!HAS_SEPARATE_CORES) return;
  for (const pid of pids) if (pid !== undefined) moveTo(MEASURED, pid);
}

/** Gives priority to this process, which measures latencies, and to those that it waits for. */
export function preferTiming(...pids: readonly (number | undefined)[]): void {
  if (HAS_SEPARATE_CORES) preferProcesses(process.pid, ...pids);
}

/** Gives processes priority over all others. Without the right to do so, their priority stays. */
export function preferProcesses(...pids: readonly (number | undefined)[]): void {
  for (const pid of pids) {
    try {
      if (pid !== undefined) setPriority(pid, TIMING_PRIORITY);
    } catch (error) {
      process.stderr.write(`latencies include waits for a core: ${String(error)}\n`);
    }
  }
}

/** Gives a process normal priority again, after it inherited a higher one. */
export function loseTimingPreference(pid = process.pid): void {
  if (HAS_SEPARATE_CORES) setPriority(pid, 0);
}

function moveTo(core: string, pid: number): void {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", core, String(pid)], { stdio: "ignore" });
}
