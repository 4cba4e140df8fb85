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
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { dim, columns: maxWidth }: TableStyle = PLAIN,
): string {
  const measured = columns.map((column) => {
    const cells = [column.header, ...rows.map(column.cell)].map(printable);
    return { ...column, cells, width: Math.max(...cells.map(displayWidth)) };
  });
  const shown = fitting(measured, maxWidth);
  const [header = "", ...body] = [undefined, ...rows].map((_, line) =>
    shown
      .map(({ cells, width, right = false }) => pad(cells[line] ?? "", width, right))
      .join(GAP)
      .trimEnd(),
  );
  return [dim(header), ...body].join("\n");
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
  const width = Math.max(...fields.map(([name]) => name.length));
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

/** Number of terminal columns that a text takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : DOUBLE_WIDTH.test(character) ? 2 : 1;
  return width;
}
