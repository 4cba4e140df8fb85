import { readdir, readFile } from "node:fs/promises";

/** Ids of the processes that have this home in their arguments or environment. Zombies have neither. */
export async function processesOf(home: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const matching = await Promise.all(pids.map(async (pid) => ((await mentions(pid, home)) ? [Number(pid)] : [])));
  return matching.flat();
}

/** Kills all processes of a home with SIGKILL, the supervisor included: a power cut, except that the disk is flushed. */
export async function killAll(home: string): Promise<void> {
  for (const pid of await processesOf(home)) {
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

export async function childrenOf(pid: number): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children.split(" ").filter(Boolean).map(Number);
}

export async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name of the program stands in parentheses, and may have blanks.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
