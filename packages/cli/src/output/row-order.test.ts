import { describe, expect, it } from "vitest";
import { orderOf } from "./row-order.ts";

interface Row {
  readonly name: string | null;
  readonly count: number;
}
const COLUMNS = [
  { header: "NAME", cell: () => "x", value: ({ name }: Row) => name },
  { header: "COUNT", name: "request_count", cell: () => "x", value: ({ count }: Row) => count },
  { header: "", only: "people" as const, cell: () => "bar" },
];
const ROWS: readonly Row[] = [
  { name: "b", count: 9 },
  { name: null, count: 10 },
  { name: "a", count: 9 },
];

describe("the order of rows", () => {
  it.each([
    ["request_count", ["-", "b", "a"]],
    ["-request_count", ["b", "a", "-"]],
    ["name", ["a", "b", "-"]],
    ["-name", ["b", "a", "-"]],
  ])("by %s is by value, keeps the order of equal rows, and has rows without a value last", (sort, names) => {
    expect(orderOf(COLUMNS, { sort })(ROWS).map(({ name }) => name ?? "-")).toEqual(names);
  });

  it("is that of the list if no column is given, and is cut after the requested number of rows", () => {
    expect(orderOf(COLUMNS, {})(ROWS)).toEqual(ROWS);
    expect(orderOf(COLUMNS, { top: 2 })(ROWS)).toEqual(ROWS.slice(0, 2));
    expect(orderOf(COLUMNS, { sort: "name", top: 1 })(ROWS)).toEqual([ROWS[2]]);
  });

  it("refuses an unknown column and names the known ones", () => {
    expect(() => orderOf(COLUMNS, { sort: "cost" })).toThrow('--sort: "cost" is not one of name, request_count');
  });
});
