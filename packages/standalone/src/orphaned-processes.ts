import { readdir, readFile } from "node:fs/promises";
import { waitUntil } from "./process/wait.ts";

/**
 * Every process that a supervisor starts carries this variable, `<role>@<home>`: it proves whose a process is that has
 * outlived its supervisor, whatever the pid files say.
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

/** Living processes that a supervisor of this home started. Empty where there is no /proc. */
export async function findOrphanedProcesses(home: string): Promise<readonly OrphanedProcess[]> {
  const entries = await readdir("/proc").catch(() => []);
  const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number);
  const found = await Promise.all(pids.map((pid) => orphanedProcess(pid, home)));
  return found.filter((process) => process !== undefined);
}

/** Ends them all: asks first, then kills. */
export async function endOrphanedProcesses(home: string, orphans: readonly OrphanedProcess[]): Promise<void> {
  // Postgres takes SIGINT for "roll back, disconnect everyone, stop"; SIGTERM would wait for its clients.
  for (const { role, pid } of orphans) send(pid, role === "postgres" ? "SIGINT" : "SIGTERM");
  const gone = async (): Promise<boolean> => (await findOrphanedProcesses(home)).length === 0;
  if (await waitUntil(gone, { timeoutMs: STOP_TIMEOUT_MS })) return;
  for (const { pid } of await findOrphanedProcesses(home)) send(pid, "SIGKILL");
  await waitUntil(gone, { timeoutMs: STOP_TIMEOUT_MS });
}

async function orphanedProcess(pid: number, home: string): Promise<OrphanedProcess | undefined> {
  // Unreadable means another user's, or just gone: not ours.
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const mark = environment.split("\0").find((variable) => variable.startsWith(`${MARK}=`));
  if (mark === undefined || !mark.endsWith(`@${home}`)) return undefined;
  return { role: mark.slice(MARK.length + 1, -home.length - 1), pid };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone by itself in between.
  }
}
