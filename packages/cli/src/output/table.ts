import { printable } from "./printable.ts";
import type { Style } from "./style.ts";

export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string;
  /** True to align the column to the right, as numbers are. */
  readonly right?: boolean;
  /** Rank among the columns that are left out while the table is wider than the terminal, 1 first. Never left out if unset. */
  readonly leaveOutRank?: number;
}

/** Style of tables; by default that of a stream without a terminal. */
export type TableStyle = Pick<Style, "dim" | "columns">;

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
  /** Line of a row; out of line where a cell is wider than those that the layout was made for. */
  readonly line: (row: Row) => string;
}

/** Layout of a table by its first rows, for `table` and for a list whose further rows are not known yet. */
export function tableLayout<Row>(
  columns: readonly Column<Row>[],
  firstRows: readonly Row[],
  { dim, columns: maxWidth }: TableStyle = PLAIN,
): TableLayout<Row> {
  const measured = columns.map((column) => {
    const widthOf = (row: Row): number => displayWidth(printable(column.cell(row)));
    const width = firstRows.reduce((most, row) => Math.max(most, widthOf(row)), displayWidth(column.header));
    return { ...column, width };
  });
  const shown = fitting(measured, maxWidth);
  const joined = (cellOf: (column: Column<Row>) => string): string =>
    shown
      .map((column) => pad(printable(cellOf(column)), column.width, column.right === true))
      .join(GAP)
      .trimEnd();
  return { header: dim(joined(({ header }) => header)), line: (row) => joined(({ cell }) => cell(row)) };
}

/** Columns that fit the width, after those of the lowest rank are left out one by one. */
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
