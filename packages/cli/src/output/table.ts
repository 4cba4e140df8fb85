import type { CellValue } from "./csv.ts";
import { printable } from "./printable.ts";
import type { Style } from "./style.ts";

/** Column of a list, for all output formats. */
export interface Column<Row> {
  readonly header: string;
  /** Text for people. */
  readonly cell: (row: Row) => string;
  /** Name for programs, that of the JSON field if there is one; by default the header in snake case. */
  readonly name?: string;
  /** Value for programs and for sorting; by default the text for people. */
  readonly value?: (row: Row) => CellValue;
  /** Output that the column is limited to: wide tables and programs, tables, or programs. Unset: all. */
  readonly only?: "wide" | "people" | "programs";
  /** True to align the column to the right, as numbers are; "point" to align it at the decimal point. */
  readonly right?: boolean | "point";
  /** Order in which columns are left out while the table is wider than the terminal, 1 first. Never left out if unset. */
  readonly leaveOutRank?: number;
}

export function columnName<Row>({ name, header }: Column<Row>): string {
  return name ?? header.toLowerCase().replace(/[^a-z0-9]+/g, "_");
}

export function columnValue<Row>({ value, cell }: Column<Row>, row: Row): CellValue {
  return value === undefined ? cell(row) : value(row);
}

/** Columns that people see. */
export function shownColumns<Row>(columns: readonly Column<Row>[], wide: boolean): readonly Column<Row>[] {
  return columns.filter(({ only }) => only !== "programs" && (wide || only !== "wide"));
}

/** Style of tables; by default that of a stream without a terminal. */
export type TableStyle = Pick<Style, "dim" | "columns"> & Partial<Pick<Style, "wide">>;

const PLAIN: TableStyle = { dim: (text) => text, columns: Infinity };
const GAP = "  ";

/**
 * Table with aligned columns under dimmed headers, without a line break at its end. Columns with a rank are left out while it is
 * wider than the terminal.
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], style: TableStyle = PLAIN): string {
  const { header, line } = tableLayout(columns, rows, style);
  return [header, ...rows.map(line)].join("\n");
}

/** Lines of a table, without line breaks. */
export interface TableLayout<Row> {
  readonly header: string;
  /** Line of a row; misaligned if a cell is wider than those of the rows that the layout was made from. */
  readonly line: (row: Row) => string;
}

/** Layout of a table from its first rows, for `table` and for a list whose further rows are not known yet. */
export function tableLayout<Row>(
  columns: readonly Column<Row>[],
  firstRows: readonly Row[],
  { dim, columns: maxWidth, wide = false }: TableStyle = PLAIN,
): TableLayout<Row> {
  const measured = shownColumns(columns, wide).map((column) => measuredColumn(column, firstRows));
  const shown = fitting(measured, maxWidth);
  const joined = (cellOf: (column: Column<Row>) => string): string =>
    shown
      .map((column) => pad(printable(cellOf(column)), column.width, (column.right ?? false) !== false))
      .join(GAP)
      .trimEnd();
  return { header: dim(joined(({ header }) => header)), line: (row) => joined(({ cell }) => cell(row)) };
}

function measuredColumn<Row>(column: Column<Row>, rows: readonly Row[]): Column<Row> & { readonly width: number } {
  const cell = column.right === "point" ? alignedAtPoint(column.cell, rows) : column.cell;
  const widthOf = (row: Row): number => displayWidth(printable(cell(row)));
  const width = rows.reduce((most, row) => Math.max(most, widthOf(row)), displayWidth(column.header));
  return { ...column, cell, width };
}

/** Pads cells with trailing blanks, so that their decimal points line up once they are aligned to the right. */
function alignedAtPoint<Row>(cell: (row: Row) => string, rows: readonly Row[]): (row: Row) => string {
  const decimalsOf = (text: string): number => (text.includes(".") ? text.length - text.lastIndexOf(".") : 0);
  const most = rows.reduce((max, row) => Math.max(max, decimalsOf(cell(row))), 0);
  return (row) => {
    const text = cell(row);
    return text + " ".repeat(Math.max(0, most - decimalsOf(text)));
  };
}

/** Columns that fit the width. Others are left out one by one, in the order of `leaveOutRank`. */
function fitting<T extends { readonly width: number; readonly leaveOutRank?: number }>(
  columns: readonly T[],
  maxWidth: number,
): readonly T[] {
  const total = columns.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length);
  const ranks = columns.flatMap(({ leaveOutRank }) => leaveOutRank ?? []);
  if (total <= maxWidth || ranks.length === 0) return columns;
  const lowest = Math.min(...ranks);
  return fitting(
    columns.filter(({ leaveOutRank }) => leaveOutRank !== lowest),
    maxWidth,
  );
}

/** Lines of field names and values, aligned. */
export function block(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = fields.reduce((most, [name]) => Math.max(most, name.length), 0);
  return fields.map(([name, value]) => `${name.padEnd(width)}${GAP}${printable(value)}`).join("\n");
}

function pad(cell: string, width: number, right: boolean): string {
  const blanks = " ".repeat(Math.max(0, width - displayWidth(cell)));
  return right ? blanks + cell : cell + blanks;
}

const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
// East Asian wide and full-width blocks, and what terminals draw as emoji.
const DOUBLE_WIDTH =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

const ASCII = /^[\x20-\x7e]*$/;

/** Number of terminal columns that a text takes. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : DOUBLE_WIDTH.test(character) ? 2 : 1;
  return width;
}
