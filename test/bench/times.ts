import { readFile } from "node:fs/promises";
import { loadavg } from "node:os";

/** One line: below what half, 99% and all of the times lie. @param values milliseconds */
export function printTimes(name: string, values: readonly number[]): void {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): string => `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)} ms`;
  process.stdout.write(`${name}: p50 ${at(0.5)}   p99 ${at(0.99)}   max ${at(1)}\n`);
}

/** USER_HZ, in which Linux tells CPU time. */
const TICKS_PER_SECOND = 100;

/** Fields of /proc/<pid>/stat, behind the name of the program. */
const [UTIME, STIME, CUTIME, CSTIME] = [11, 12, 13, 14] as const;

/** CPU time that a process has used so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  return sumOf(await readStat(pid), [UTIME, STIME]);
}

/** CPU time of a process with its children, those that have ended included: of a Postgres, all of it. */
export async function familyCpuSeconds(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8"))
    .split(" ")
    .filter((each) => each !== "");
  const [own, ...theirs] = await Promise.all([pid, ...children.map(Number)].map(readStat));
  const living = theirs.reduce((sum, fields) => sum + sumOf(fields, [UTIME, STIME]), 0);
  return living + sumOf(own ?? [], [UTIME, STIME, CUTIME, CSTIME]);
}

/** Empty if it is gone. */
async function readStat(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text.split(") ")[1]?.split(" ") ?? [];
}

function sumOf(fields: readonly string[], places: readonly number[]): number {
  return places.reduce((sum, place) => sum + Number(fields[place] ?? 0), 0) / TICKS_PER_SECOND;
}

/** The middle one. */
export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0;
}

/** How busy the machine was: belongs beside every figure of one that is not left alone. */
export function load(): string {
  return `load ${loadavg()[0]?.toFixed(1)}`;
}
