import { readFile } from "node:fs/promises";
import { loadavg } from "node:os";

/** Prints the median, the 99th percentile and the maximum of times on one line. @param values milliseconds */
export function printTimes(name: string, values: readonly number[]): void {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): string => `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)} ms`;
  process.stdout.write(`${name}: p50 ${at(0.5)}   p99 ${at(0.99)}   max ${at(1)}\n`);
}

/** USER_HZ, the unit of CPU time in /proc. */
const TICKS_PER_SECOND = 100;

/** Indexes of the fields of /proc/<pid>/stat, counted behind the name of the program. */
const [UTIME, STIME, CUTIME, CSTIME] = [11, 12, 13, 14] as const;

/** CPU time that a process has used so far, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  return sumOf(await readStat(pid), [UTIME, STIME]);
}

/**
 * CPU time of a process and its descendants, in seconds; ended ones that were waited for included: all of a Postgres server.
 * Descendants in `except` count as well only once they have ended.
 */
export async function familyCpuSeconds(pid: number, except: readonly number[] = []): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const family = (await familyOf(pid)).filter((member) => !except.includes(member));
    const stats = await Promise.all(family.map(readStat));
    // A process that ends meanwhile would be missing, or counted twice.
    if (attempt < 5 && stats.some((fields) => fields.length === 0)) continue;
    return stats.reduce((sum, fields) => sum + sumOf(fields, [UTIME, STIME, CUTIME, CSTIME]), 0);
  }
}

/** CPU time of all children of this process that have ended, with their ended descendants, in seconds. */
export async function endedChildrenCpuSeconds(): Promise<number> {
  return sumOf(await readStat(process.pid), [CUTIME, CSTIME]);
}

/** Ids of a process and all its descendants. */
export async function familyOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const children = text.split(" ").filter((child) => child !== "");
  const families = await Promise.all(children.map((child) => familyOf(Number(child))));
  return [pid, ...families.flat()];
}

/** Fields of /proc/<pid>/stat behind the name of the program; empty if the process has ended. */
async function readStat(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text.split(") ")[1]?.split(" ") ?? [];
}

function sumOf(fields: readonly string[], indexes: readonly number[]): number {
  return indexes.reduce((sum, index) => sum + Number(fields[index] ?? 0), 0) / TICKS_PER_SECOND;
}

/** Median of the values. */
export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0;
}

/** Load average of the machine, to be printed beside the figures. */
export function load(): string {
  return `load ${loadavg()[0]?.toFixed(1)}`;
}
