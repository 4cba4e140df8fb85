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

/** CPU time of a process and its children, ended ones included: all of a Postgres server. */
export async function familyCpuSeconds(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter((pid) => pid !== "");
  const [own, ...ofChildren] = await Promise.all([pid, ...children.map(Number)].map(readStat));
  const running = ofChildren.reduce((sum, fields) => sum + sumOf(fields, [UTIME, STIME]), 0);
  return running + sumOf(own ?? [], [UTIME, STIME, CUTIME, CSTIME]);
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
