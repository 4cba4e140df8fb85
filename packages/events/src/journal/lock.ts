import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder belongs to a process that lives. */
export class FolderTaken extends Error {
  override readonly name = "FolderTaken";

  constructor(folder: string, pid: number) {
    super(`the spool ${folder} is in use by process ${pid}: every gateway needs a folder of its own`);
  }
}

const LOCK = "lock";

/**
 * Takes a folder for this process, for as long as it lives: the lock names a process by its id, the moment it started and
 * the boot of the machine, so that a pid that is used again (in a container always the same) is not taken for its holder.
 *
 * @throws FolderTaken if a living process has it
 */
export function lockFolder(folder: string): { readonly release: () => void } {
  const path = join(folder, LOCK);
  const mine = markOf(process.pid);
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    while (!linked(draft, path)) removeIfDead(folder, path, mine);
  } finally {
    rmSync(draft, { force: true });
  }
  return { release: () => rmSync(path, { force: true }) };
}

/** A link appears at once and with its content, or not at all. */
function linked(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

function removeIfDead(folder: string, path: string, mine: string): void {
  const held = readIfThere(path);
  if (held === undefined) return;
  const pid = Number.parseInt(held, 10);
  if (held === mine || (held === markOf(pid) && runs(pid))) throw new FolderTaken(folder, pid);
  // Two may find the same dead lock: what was moved aside must be what was judged, else it is put back.
  const aside = `${path}.${process.pid}.dead`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if (readIfThere(aside) !== held) linked(aside, path);
  rmSync(aside, { force: true });
}

/** `<pid> <start> <boot>`: of one process among all that this machine ever ran. Start and boot are empty without /proc. */
function markOf(pid: number): string {
  const started = statOf(pid)[19] ?? "";
  const boot = readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  return `${pid} ${started} ${boot}\n`;
}

/**
 * A process that was killed and that its parent has not waited for (a container's, often never) still has an id and a
 * start.
 */
function runs(pid: number): boolean {
  const [state] = statOf(pid);
  if (state !== undefined) return state !== "Z" && state !== "X";
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** The state of a process, and what /proc tells after it; nothing if there is no such process, or no /proc. */
function statOf(pid: number): readonly string[] {
  const stat = readIfThere(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything.
  return stat === undefined ? [] : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
