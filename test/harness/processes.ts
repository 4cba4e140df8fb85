import { readdir, readFile } from "node:fs/promises";

/** Ids of the living processes that carry this home in their arguments or environment; zombies do not. */
export async function processesOf(home: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const found = await Promise.all(pids.map(async (pid) => ((await mentions(pid, home)) ? [Number(pid)] : [])));
  return found.flat();
}

/** Kills them all with SIGKILL, the supervisor among them: as a power cut would, but for the disk. */
export async function killAll(home: string): Promise<void> {
  for (const pid of await processesOf(home)) {
    // One that ended in between is as good as killed.
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function mentions(pid: string, home: string): Promise<boolean> {
  const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
  const texts = await Promise.all([read("cmdline"), read("environ")]);
  return texts.some((text) => text.includes(home));
}
