import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errorCode, StartFailure } from "./start-failure.ts";
import { findExecutable } from "./process/command.ts";

/**
 * Locks a home for this process, with a kernel lock on the file `lock` in it. The kernel releases the lock when the process ends,
 * even by SIGKILL. Only the owner of the file can open it, so no other user can take the lock. The file stays, with the pid of
 * its last holder.
 *
 * @throws StartFailure if a running node holds the lock, or the file cannot be locked
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
 * Locks an open file; false if another process holds the lock. Node.js has no call for that, so `flock` of util-linux locks the
 * inherited file. The lock belongs to the open file, which stays open in this process.
 */
async function takeLock(file: number): Promise<boolean> {
  const flock = findExecutable("flock");
  if (flock === undefined) throw new StartFailure("flock is not on the PATH: install util-linux and try again");
  const child = spawn(flock, ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", file] });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0 && code !== 1) throw new StartFailure(`flock exited with ${code}`);
  return code === 0;
}
