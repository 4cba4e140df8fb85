import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node";
import { FEATURES } from "./clients/client.ts";

const MARKS = { passed: "✓", failed: "✗", skipped: "-", pending: "?" } as const;

/** Prints the table of clients, upstream wires and features at the end of a run. */
export class TableReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = new Map<string, Map<string, string>>();
    const others: string[] = [];
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const mark = MARKS[test.result().state];
      const [client, target] = suitesOf(test);
      if (target === undefined) {
        others.push(`${mark} ${client ?? ""}: ${test.name}`);
        continue;
      }
      const name = `${client ?? ""} | ${target}`;
      const row = rows.get(name) ?? new Map<string, string>();
      rows.set(name, row.set(test.name, mark));
    }
    process.stdout.write(`\n${tableOf(rows)}\n\n${others.join("\n")}\n`);
  }
}

/** Names of the suites of a test, the outermost first. */
function suitesOf(test: TestCase): readonly string[] {
  const names: string[] = [];
  for (let parent: TestSuite | TestModule = test.parent; parent.type === "suite"; parent = parent.parent) {
    names.unshift(parent.name);
  }
  return names;
}

function tableOf(rows: ReadonlyMap<string, ReadonlyMap<string, string>>): string {
  const width = Math.max(0, ...[...rows.keys()].map(({ length }) => length));
  const line = (name: string, cells: readonly string[]): string => `${name.padEnd(width)} | ${cells.join(" | ")} |`;
  const cell = (feature: string, mark: string): string => mark.padEnd(feature.length);
  return [
    line("client | upstream", FEATURES),
    line(
      "-".repeat(width),
      FEATURES.map((feature) => "-".repeat(feature.length)),
    ),
    ...[...rows].map(([name, row]) =>
      line(
        name,
        FEATURES.map((feature) => cell(feature, row.get(feature) ?? "")),
      ),
    ),
  ].join("\n");
}
