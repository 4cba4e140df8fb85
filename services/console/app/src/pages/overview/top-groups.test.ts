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
  restCount: 0n,
});
const keyOf = ({ key }: { readonly key: string }): string => key;

test("adds up the groups of a value, and sorts by the measure", () => {
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

test("joins the rows beyond the seventh in one, unless there is only one", () => {
  const groups = Array.from({ length: 10 }, (_, index) => group(`k${index}`, 100 - index));
  const rows = topGroups(groups, keyOf, MEASURES.spend);
  expect(rows).toHaveLength(8);
  expect(rows.at(-1)).toMatchObject({ count: 3, totals: { spendMicroUsd: 93n + 92n + 91n } });
  expect(rows.at(-1)?.id).toBeUndefined();
  expect(topGroups(groups.slice(0, 8), keyOf, MEASURES.spend).at(-1)).toMatchObject({ id: "k7", count: 1 });
});

test("adds amounts that were not read separately to the row of the others, which then exists even with few rows", () => {
  const rest = (spend: number) => ({ ...group("", spend), restCount: 392n });
  const groups = [rest(500), ...Array.from({ length: 8 }, (_, index) => group(`k${index}`, 100 - index)), rest(7)];
  const rows = topGroups(groups, keyOf, MEASURES.spend);
  expect(rows.map(({ id }) => id)).toEqual(["k0", "k1", "k2", "k3", "k4", "k5", "k6", undefined]);
  expect(rows.at(-1)).toMatchObject({ count: 393, totals: { spendMicroUsd: 507n + 93n } });
  expect(topGroups([group("", 1), rest(5)], keyOf, MEASURES.spend)).toMatchObject([{ id: "" }, { count: 392 }]);
});
