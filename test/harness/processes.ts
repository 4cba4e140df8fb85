import { readdir, readFile } from "node:fs/promises";

/** Ids of the living processes that carry this home in their arguments or environment; zombies do not. */
export async function processesOf(home: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const found = await Promise.all(pids.map(async (pid) => ((await mentions(pid, home)) ? [Number(pid)] : [])));
  return found.flat();
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
