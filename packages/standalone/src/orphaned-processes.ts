import { readdir, readFile } from "node:fs/promises";
import { waitUntil } from "./process/wait.ts";

/**
 * Variable in the environment of every process that a supervisor starts, `<role>@<home>`. It identifies orphaned processes; pid
 * files can be out of date.
 */
const MARK = "ROUTEPLANE_SUPERVISED";
const STOP_TIMEOUT_MS = 8_000;

export function supervisionMark(role: string, home: string): Record<string, string> {
  return { [MARK]: `${role}@${home}` };
}

export interface OrphanedProcess {
  readonly role: string;
  readonly pid: number;
}

/** Running processes that an earlier run of this home started. Empty on systems without /proc. */
export async function findOrphanedProcesses(home: string): Promise<readonly OrphanedProcess[]> {
  const entries = await readdir("/proc").catch(() => []);
  const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number);
  const processes = await Promise.all(pids.map((pid) => orphanedProcess(pid, home)));
  return processes.filter((process) => process !== undefined);
}

/** Stops the processes by a signal, and kills those that still run after 8 s. */
export async function endOrphanedProcesses(home: string, orphans: readonly OrphanedProcess[]): Promise<void> {
  // SIGINT is the fast shutdown of Postgres, which rolls back and disconnects; SIGTERM would wait for its clients.
  for (const { role, pid } of orphans) send(pid, role === "postgres" ? "SIGINT" : "SIGTERM");
  const areGone = async (): Promise<boolean> => (await findOrphanedProcesses(home)).length === 0;
  if (await waitUntil(areGone, { timeoutMs: STOP_TIMEOUT_MS })) return;
  for (const { pid } of await findOrphanedProcesses(home)) send(pid, "SIGKILL");
  await waitUntil(areGone, { timeoutMs: STOP_TIMEOUT_MS });
}

async function orphanedProcess(pid: number, home: string): Promise<OrphanedProcess | undefined> {
  // An unreadable environment belongs to another user, or to a process that has just ended.
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const mark = environment.split("\0").find((variable) => variable.startsWith(`${MARK}=`));
  if (mark === undefined || !mark.endsWith(`@${home}`)) return undefined;
  return { role: mark.slice(MARK.length + 1, -home.length - 1), pid };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended by itself.
  }
}
