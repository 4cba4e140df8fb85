import { expect, test } from "vitest";
import { MEASURES } from "../../format/measures.ts";
import { topGroups } from "./top-groups.ts";

const group = (key: string, spend: number, requests = 1) => ({
  key,
  requestCount: BigInt(requests),
  promptTokens: 2n,
  completionTokens: 3n,
  spendMicroUsd: BigInt(spend),
  deniedCount: 4n,
});
const keyOf = ({ key }: { readonly key: string }): string => key;

test("adds the groups of a value up, and sorts by the measure", () => {
  const groups = [group("a", 5), group("b", 9), group("a", 6, 100)];
  const rows = topGroups(groups, keyOf, MEASURES.spend);
  expect(rows.map(({ id, totals }) => [id, totals.spendMicroUsd])).toEqual([
    ["a", 11n],
    ["b", 9n],
  ]);
  expect(rows[0]?.totals).toEqual({
    requestCount: 101n,
    promptTokens: 4n,
    completionTokens: 6n,
    spendMicroUsd: 11n,
    deniedCount: 8n,
  });
  expect(topGroups([group("a", 5, 1), group("b", 1, 2)], keyOf, MEASURES.requests).map(({ id }) => id)).toEqual([
    "b",
    "a",
  ]);
});

test("joins what is beyond the seventh in one row, unless that is a single one", () => {
  const groups = Array.from({ length: 10 }, (_, index) => group(`k${index}`, 100 - index));
  const rows = topGroups(groups, keyOf, MEASURES.spend);
  expect(rows).toHaveLength(8);
  expect(rows.at(-1)).toMatchObject({ count: 3, totals: { spendMicroUsd: 93n + 92n + 91n } });
  expect(rows.at(-1)?.id).toBeUndefined();
  expect(topGroups(groups.slice(0, 8), keyOf, MEASURES.spend).at(-1)).toMatchObject({ id: "k7", count: 1 });
});
