import { median } from "../times.ts";
import { type ByRole, type Memory, type Role, ROLES } from "./node-figures.ts";
import { nodeMs, type ProxyWindow, type Window } from "./window.ts";

/** One round of a case: the load on the node, and just before it on the bare proxy. */
export interface Round {
  readonly window: Window;
  readonly proxy: ProxyWindow;
}

const NAME_WIDTH = 34;
const WIDTH = 11;

/** Prints the header of the table of cases. */
export function printHeader(): void {
  line("", ["req/s", "p50 ms", "p99 ms", ...ROLES, "node", "failed"]);
}

/** Prints the medians of the rounds of a case: milliseconds of CPU per request, and the same as multiples of the proxy's. */
export function printCase(name: string, rounds: readonly Round[]): void {
  const of = (figure: (round: Round) => number): number => median(rounds.map(figure));
  const loads = [
    of(({ window }) => window.result.perSecond).toFixed(0),
    of(({ window }) => window.result.p50Ms).toFixed(1),
    of(({ window }) => window.result.p99Ms).toFixed(1),
  ];
  const failed = rounds.reduce((sum, { window, proxy }) => sum + window.result.failed + proxy.result.failed, 0);
  const ms = [...ROLES.map((role) => of(({ window }) => window.cpuMs[role])), of(({ window }) => nodeMs(window))];
  const multiples = [
    ...ROLES.map((role) => of(({ window, proxy }) => window.cpuMs[role] / proxy.cpuMs)),
    of(({ window, proxy }) => nodeMs(window) / proxy.cpuMs),
  ];
  line(name, [...loads, ...ms.map((value) => value.toFixed(3)), `${failed}`]);
  line("  x the proxy", ["", "", "", ...multiples.map((value) => value.toFixed(2)), ""]);
  const proxy = [
    of(({ proxy }) => proxy.result.perSecond).toFixed(0),
    of(({ proxy }) => proxy.result.p50Ms).toFixed(1),
    of(({ proxy }) => proxy.result.p99Ms).toFixed(1),
    of(({ proxy }) => proxy.cpuMs).toFixed(3),
  ];
  line("  bare proxy", proxy);
}

/** Prints the CPU time of the idle node, in milliseconds per second. */
export function printIdle(rates: ByRole): void {
  const total = ROLES.reduce((sum, role) => sum + rates[role], 0);
  line("idle, CPU ms/s", [
    "",
    "",
    "",
    ...[...ROLES.map((role) => rates[role]), total].map((rate) => (rate * 1_000).toFixed(1)),
  ]);
}

/** Prints resident memory and, with shared pages divided, proportional memory of each role. */
export function printMemory(name: string, memory: Readonly<Record<Role, Memory>>): void {
  const figures = ROLES.map(
    (role) => `${memory[role].residentMiB.toFixed(0)}/${memory[role].proportionalMiB.toFixed(0)}`,
  );
  line(`${name}, RSS/PSS MiB`, ["", "", "", ...figures]);
}

function line(name: string, figures: readonly string[]): void {
  process.stdout.write(`${name.padEnd(NAME_WIDTH)}${figures.map((figure) => figure.padStart(WIDTH)).join("")}\n`);
}
