import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The OS user that a process runs as. */
export interface OsUser {
  readonly uid: number;
  readonly gid: number;
}

/** Program, arguments and environment of a process. */
export interface Command {
  readonly executable: string;
  readonly args: readonly string[];
  /** Whole environment of the process; nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** Working directory; that of this process by default. */
  readonly folder?: string | undefined;
  /** User of the process; that of this process by default. */
  readonly user?: OsUser | undefined;
  /** Files that it inherits as descriptors 3, 4, …; not together with `channel`. */
  readonly descriptors?: readonly number[] | undefined;
  /** True for a service of Routeplane, which gets an IPC channel and stops when that closes. */
  readonly channel?: boolean | undefined;
  /** Signal that the kernel sends it when its parent dies, if it has no channel. */
  readonly parentDeathSignal?: "INT" | "TERM" | undefined;
}

/**
 * Starts the process in a process group of its own, so that Ctrl-C at a terminal reaches only its parent. Its output is appended
 * to `log`.
 */
export function startCommand(command: Command, log: string): ChildProcess {
  const { executable, args } = boundToParent(command);
  const output = openSync(log, "a", 0o600);
  const stdio: StdioOptions = ["ignore", output, output, ...(command.channel ? ["ipc" as const] : [])];
  try {
    return spawn(executable, args, {
      stdio: [...stdio, ...(command.descriptors ?? [])],
      env: { ...command.environment },
      ...(command.folder === undefined ? {} : { cwd: command.folder }),
      detached: true,
      ...command.user,
    });
  } finally {
    closeSync(output);
  }
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs the process until it ends. If `signal` is aborted, its whole process group is killed. */
export async function runCommand(command: Command, log: string, signal: AbortSignal): Promise<Ending> {
  signal.throwIfAborted();
  const child = startCommand(command, log);
  const kill = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  signal.addEventListener("abort", kill);
  try {
    const [code, endedBy] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    signal.throwIfAborted();
    return { code, signal: endedBy };
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** Description of how a process ended, e.g. "exited with 1". */
export function describeEnding({ code, signal }: Ending): string {
  return signal === null ? `exited with ${code}` : `was ended by ${signal}`;
}

/** Path of an executable, from the folders of `path` (as in the variable PATH) or the system's folders. */
export function findExecutable(name: string, path = ""): string | undefined {
  const folders = [
    ...path.split(delimiter),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
  ];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Command that is signalled when its parent dies: setpriv asks the kernel for that and then executes the program. */
function boundToParent({ executable, args, parentDeathSignal }: Command): { executable: string; args: string[] } {
  const setpriv = parentDeathSignal === undefined ? undefined : findExecutable("setpriv");
  if (setpriv === undefined) return { executable, args: [...args] };
  return { executable: setpriv, args: ["--pdeathsig", `${parentDeathSignal}`, executable, ...args] };
}
