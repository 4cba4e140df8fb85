import { median } from "../times.ts";
import { type ByRole, type Memory, type Role, ROLES } from "./node-figures.ts";
import { nodeMs, type ProxyWindow, type Window } from "./window.ts";

/** One round of a case: the load on the node, and in turns with it on the bare proxy. */
export interface Round {
  readonly window: Window;
  /** The bare proxy with as many requests as it can answer. */
  readonly proxy: ProxyWindow;
  /** The bare proxy at the rate that the node had: at fewer requests a second, each costs a process more. */
  readonly proxyAtRate: ProxyWindow;
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
  const results = rounds.flatMap(({ window, proxy, proxyAtRate }) => [window.result, proxy.result, proxyAtRate.result]);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  const ms = [...ROLES.map((role) => of(({ window }) => window.cpuMs[role])), of(({ window }) => nodeMs(window))];
  line(name, [...loads, ...ms.map((value) => value.toFixed(3)), `${failed}`]);
  for (const [proxy, label] of [
    ["proxy", "bare proxy"],
    ["proxyAtRate", "bare proxy at that rate"],
  ] as const) {
    const multiples = [
      ...ROLES.map((role) => of((round) => round.window.cpuMs[role] / round[proxy].cpuMs)),
      of((round) => nodeMs(round.window) / round[proxy].cpuMs),
    ];
    const figures = [
      of((round) => round[proxy].result.perSecond).toFixed(0),
      of((round) => round[proxy].result.p50Ms).toFixed(1),
      of((round) => round[proxy].result.p99Ms).toFixed(1),
      of((round) => round[proxy].cpuMs).toFixed(3),
    ];
    line(`  ${label}`, figures);
    line("  multiples of it", ["", "", "", ...multiples.map((value) => value.toFixed(2)), ""]);
  }
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
