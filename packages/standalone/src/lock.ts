import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errorCode, StartFailure } from "./start-failure.ts";
import { findExecutable } from "./process/command.ts";

/**
 * Takes a home for this process. The lock is the kernel's, on the file `lock` in the home, which only its owner can open: it
 * ends with its holder, even by SIGKILL, and no other user can take it. The file stays, with the pid of its last holder.
 *
 * @throws StartFailure if a living supervisor has it, or it cannot be taken
 */
export async function lockHome(home: string): Promise<{ release(): void }> {
  if (process.platform !== "linux") return { release() {} };
  const path = join(home, "lock");
  const file = open(path);
  try {
    if (!(await takeLock(file))) {
      const holder = readFileSync(path, "utf8").trim();
      throw new StartFailure(
        `a node is already running on ${home}${holder === "" ? "" : ` (process ${holder})`}: ` +
          `use it, stop it, or give this one another ROUTEPLANE_HOME (it holds ${path})`,
      );
    }
    ftruncateSync(file);
    writeSync(file, `${process.pid}\n`, 0);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return { release: () => closeSync(file) };
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new StartFailure(`${path} cannot be opened (${errorCode(error)}): make it writable, or remove it`);
  }
}

/**
 * Locks an open file, unless another process has it locked. Node has no call for that; `flock` of util-linux locks the file
 * that it is handed, and the lock is of the open file, which outlives it here.
 */
async function takeLock(file: number): Promise<boolean> {
  const flock = findExecutable("flock");
  if (flock === undefined) throw new StartFailure("there is no flock: install util-linux and try again");
  const child = spawn(flock, ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", file] });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0 && code !== 1) throw new StartFailure(`flock exited with ${code}`);
  return code === 0;
}
