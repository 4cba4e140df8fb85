import { expect, it } from "vitest";
import { groupTable } from "./usage-groups.ts";

it("shows a bar for each group, in proportion to the largest spend", () => {
  const group = (model: string, spend_micro_usd: number) => ({
    model,
    request_count: 1,
    prompt_tokens: 0,
    completion_tokens: 0,
    spend_micro_usd,
    denied_count: 0,
    denied_unlogged_count: 0,
  });
  const groups = [group("a", 1_000), group("b", 500), group("c", 0)];
  const totals = group("", 1_500);
  const lines = groupTable(groups, ["model"], totals).join("\n").split("\n");
  expect(lines.map((line) => /[█▏▎▍▌▋▊▉]*$/.exec(line)?.[0].length)).toEqual([0, 16, 8, 0, 0]);
  expect(groupTable([], ["model"], totals)).toEqual([]);
});
