import { type CellValue, csvLine } from "./csv.ts";
import { toJson } from "./json.ts";
import { printable } from "./printable.ts";
import { type Column, columnName, columnValue } from "./table.ts";

/** Formats with a line for each row and the names of the columns in the first one. */
export type DelimitedFormat = "csv" | "tsv";

export function isDelimited(format: string): format is DelimitedFormat {
  return format === "csv" || format === "tsv";
}

/** Lines of rows for programs, with exact integers and RFC 3339 times. */
export interface DelimitedLines<Row> {
  readonly header: string;
  readonly line: (row: Row) => string;
}

/** Lines of the columns that programs get, in CSV or TSV, with their line breaks. */
export function delimitedLines<Row>(format: DelimitedFormat, columns: readonly Column<Row>[]): DelimitedLines<Row> {
  const lineOf = format === "csv" ? csvLine : tsvLine;
  const shown = columns.filter(({ only }) => only !== "people");
  return {
    header: lineOf(shown.map(columnName)),
    line: (row) => lineOf(shown.map((column) => columnValue(column, row))),
  };
}

/** All lines of a list; empty, without the line of names, if there are no rows. */
export function delimitedText<Row>(
  format: DelimitedFormat,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string {
  const { header, line } = delimitedLines(format, columns);
  return rows.length === 0 ? "" : header + rows.map(line).join("");
}

/** Lines of one object: the names of its fields, then their values. */
export function delimitedObject(format: DelimitedFormat, value: object): string {
  const fields = Object.entries(value) as readonly (readonly [string, CellValue])[];
  const columns = fields.map(([name, field]) => ({ header: name, name, cell: String, value: () => field }));
  return delimitedText(format, columns, [value]);
}

/** Line of a TSV file. Tabs and line breaks within a value are escaped, null is empty, and a list or an object is JSON. */
export function tsvLine(values: readonly CellValue[]): string {
  return `${values.map(tsvCell).join("\t")}\n`;
}

function tsvCell(value: CellValue): string {
  if (value === null || value === undefined) return "";
  return printable(typeof value === "object" ? toJson(value) : String(value));
}
