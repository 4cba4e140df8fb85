import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Thrown when the folder of a spool belongs to another running process. */
export class SpoolInUse extends Error {
  override readonly name = "SpoolInUse";

  constructor(folder: string, pid: number) {
    super(`the spool ${folder} is in use by process ${pid}: every gateway needs a folder of its own`);
  }
}

const LOCK = "lock";

/** Lock of a folder by this process. */
export interface FolderLock {
  /** True unless another process has taken the folder, e.g. one of another container that does not see this one. */
  readonly isHeld: () => boolean;
  readonly release: () => void;
}

/**
 * Locks a folder for this process. The lock names its owner by pid, start time and boot id, so that another process with the
 * same pid (in a container it is always the same) is not mistaken for the owner. A lock whose owner has ended is replaced.
 *
 * @throws SpoolInUse if the owner is running
 */
export function lockFolder(folder: string): FolderLock {
  const path = join(folder, LOCK);
  const ownMark = markOf(process.pid);
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, ownMark, { mode: 0o600 });
  try {
    while (!tryLink(draft, path)) removeIfDead(folder, path, ownMark);
  } finally {
    rmSync(draft, { force: true });
  }
  const isHeld = (): boolean => readIfExists(path) === ownMark;
  return { isHeld, release: () => rmSync(path, { force: true }) };
}

/** Links `draft` as `path`: atomic, with its content. @returns false if `path` exists */
function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** @throws SpoolInUse if the owner of the lock is running */
function removeIfDead(folder: string, path: string, ownMark: string): void {
  const owner = readIfExists(path);
  if (owner === undefined) return;
  const pid = Number.parseInt(owner, 10);
  if (owner === ownMark || (owner === markOf(pid) && isRunning(pid))) throw new SpoolInUse(folder, pid);
  // Two processes may find the same dead lock: if another file than the one that was read was moved, it is put back.
  const aside = `${path}.${process.pid}.dead`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if (readIfExists(aside) !== owner) tryLink(aside, path);
  rmSync(aside, { force: true });
}

/** Returns `<pid> <start> <boot>`, unique to one process. Start and boot are empty without /proc. */
function markOf(pid: number): string {
  const started = statOf(pid)[19] ?? "";
  const boot = readIfExists("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  return `${pid} ${started} ${boot}\n`;
}

/** Returns true if the process runs. A zombie (killed, and not waited for by its parent) does not. */
function isRunning(pid: number): boolean {
  const [state] = statOf(pid);
  if (state !== undefined) return state !== "Z" && state !== "X";
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** Returns the fields of /proc/<pid>/stat from the state on; empty if there is no such process, or no /proc. */
function statOf(pid: number): readonly string[] {
  const stat = readIfExists(`/proc/${pid}/stat`);
  // The process name before it, in parentheses, may contain anything.
  return stat === undefined ? [] : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}

/** Returns the code of a file system error, e.g. ENOSPC. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
