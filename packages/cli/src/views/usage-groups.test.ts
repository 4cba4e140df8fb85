import { expect, it } from "vitest";
import { groupColumns, groupTable } from "./usage-groups.ts";

it("shows a bar for each group, in proportion to the largest spend", () => {
  const group = (model: string, spend_micro_usd: number) => ({
    model,
    request_count: 1,
    prompt_tokens: 0,
    completion_tokens: 0,
    spend_micro_usd,
    denied_count: 0,
    denied_unlogged_count: 0,
    total_p50_ms: 1_200,
    total_p95_ms: 3_400,
    total_p99_ms: null,
    first_token_p50_ms: null,
    first_token_p95_ms: null,
    first_token_p99_ms: null,
  });
  const groups = [group("a", 1_000), group("b", 500), group("c", 0)];
  const totals = group("", 1_500);
  const lines = groupTable(groups, ["model"], totals).join("\n").split("\n");
  expect(lines.map((line) => /[█▏▎▍▌▋▊▉]*$/.exec(line)?.[0].length)).toEqual([0, 16, 8, 0, 0]);
  expect(groupTable([], ["model"], totals)).toEqual([]);
});

it("shows latencies in wide tables and to programs, and marks unknown ones", () => {
  const latency = (name: string) => groupColumns(["model"], false).find((column) => column.name === name);
  const group = { total_p95_ms: 3_400, total_p99_ms: null } as const;
  const cells = (["total_p95_ms", "total_p99_ms"] as const).map((name) => {
    const { only, header } = latency(name) ?? {};
    return [header, only, group[name]];
  });
  expect(cells).toEqual([
    ["P95 MS", "wide", 3_400],
    ["P99 MS", "wide", null],
  ]);
});
