import { formatCount, formatUsd } from "./money.ts";
import type { Column } from "./table.ts";
import { formatTime } from "./time.ts";

/** Columns for common kinds of values, each with its text for people and its value for programs. */

type Layout<Row> = Pick<Column<Row>, "only" | "leaveOutRank">;

/** Column of a JSON field that is a text; `-` for people where it is null. */
export function textColumn<Name extends string, Row extends Readonly<Record<Name, string | null>>>(
  header: string,
  name: Name,
  layout: Layout<Row> = {},
): Column<Row> {
  return { header, name, cell: (row) => row[name] ?? "-", value: (row) => row[name], ...layout };
}

/** Column of a JSON field that is an RFC 3339 time, which people see in their time zone; `-` where it is null. */
export function timeColumn<Name extends string, Row extends Readonly<Record<Name, string | null>>>(
  header: string,
  name: Name,
  layout: Layout<Row> = {},
): Column<Row> {
  const cell = (row: Row): string => {
    const time: string | null = row[name];
    return time === null ? "-" : formatTime(time);
  };
  return { header, name, cell, value: (row) => row[name], ...layout };
}

/** Column of a JSON field that is a count, which people see with thousands separators. */
export function countColumn<Name extends string, Row extends Readonly<Record<Name, number | bigint>>>(
  header: string,
  name: Name,
  layout: Layout<Row> = {},
): Column<Row> {
  return { header, name, right: true, cell: (row) => formatCount(row[name]), value: (row) => row[name], ...layout };
}

/** Columns of a JSON field that is an amount in micro-USD: as it is for programs, in USD for people. */
export function moneyColumns<Name extends string, Row extends Readonly<Record<Name, number | bigint>>>(
  name: Name,
  { header = "USD", ...layout }: Layout<Row> & { readonly header?: string } = {},
): readonly Column<Row>[] {
  return [
    countColumn<Name, Row>("MICRO-USD", name, { only: "wide" }),
    { header, only: "people", right: "point", cell: (row) => formatUsd(row[name]), ...layout },
  ];
}
