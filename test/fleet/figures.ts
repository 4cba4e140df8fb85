import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { isEarly, type Load, secondsOf } from "./load.ts";
import type { Replica } from "./replica.ts";

/** Cost of one fault. */
interface Figures {
  readonly fault: string;
  readonly load: Load;
  /** Load average of the machine over the last minute. */
  readonly machine: number;
  /** Largest share of the calls and of the CPU time, as multiples of a fair one; undefined if they were not measured. */
  readonly shares: Shares | undefined;
}

/** Share of each process, as a multiple of a fair share. */
export interface Shares {
  readonly calls: readonly number[];
  readonly cpu: readonly number[];
}

const FAILURES_SHOWN = 8;
const REASON_CHARS = 300;
const rows: Figures[] = [];

/** Adds a row to the table of figures, and prints what failed. */
export function record(fault: string, load: Load, shares?: Shares): void {
  rows.push({ fault, load, machine: loadavg()[0] ?? 0, shares });
  const reasons = new Set(load.failures.map(({ path, reason }) => `  ${path}: ${reason.slice(0, REASON_CHARS)}`));
  process.stdout.write([`${fault}: ${summary(load)}`, ...[...reasons].slice(0, FAILURES_SHOWN), ""].join("\n"));
}

/** Prints the table of figures, in Markdown. */
export function printFigures(): void {
  const head = [
    "fault",
    "req/s",
    "requests",
    "failed",
    "before a deadline",
    "seconds",
    "slowest",
    "largest share (calls, CPU)",
    "load",
  ];
  const cells = rows.map(({ fault, load, machine, shares }) => [
    fault,
    load.rate.toFixed(0),
    `${load.sent}`,
    `${load.failures.length}`,
    `${load.failures.filter(isEarly).length}`,
    secondsOf(load.failures).toFixed(1),
    `${(load.slowestMs / 1_000).toFixed(2)} s`,
    shares === undefined ? "" : [shares.calls, shares.cpu].map((each) => Math.max(...each).toFixed(2)).join(", "),
    machine.toFixed(0),
  ]);
  const lines = [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`);
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Measures the work of each process for some time. */
export async function sharesOf(replicas: readonly Replica[], durationMs: number): Promise<Shares> {
  const measure = () => Promise.all(replicas.map((replica) => Promise.all([replica.calls(), replica.cpuSeconds()])));
  const before = await measure();
  await delay(durationMs);
  const after = await measure();
  const partsOf = (figure: 0 | 1): readonly number[] => {
    const parts = after.map((figures, index) => figures[figure] - (before[index]?.[figure] ?? 0));
    const fair = parts.reduce((sum, part) => sum + part, 0) / parts.length;
    return parts.map((part) => part / fair);
  };
  return { calls: partsOf(0), cpu: partsOf(1) };
}

function summary({ sent, failures, slowestMs, rate }: Load): string {
  const early = `${failures.filter(isEarly).length} before the deadline of a call`;
  const failed = `${failures.length} failed in ${secondsOf(failures).toFixed(1)} s, ${early}`;
  return `${sent} requests (${rate.toFixed(0)} per second), ${failed}, slowest ${Math.round(slowestMs)} ms`;
}
