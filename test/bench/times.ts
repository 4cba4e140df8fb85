import { readFile } from "node:fs/promises";

/** One line: below what half, 99% and all of the times lie. @param values milliseconds */
export function printTimes(name: string, values: readonly number[]): void {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): string => `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)} ms`;
  process.stdout.write(`${name}: p50 ${at(0.5)}   p99 ${at(0.99)}   max ${at(1)}\n`);
}

/** USER_HZ, in which Linux tells CPU time. */
const TICKS_PER_SECOND = 100;

/** CPU time that a process has used so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
