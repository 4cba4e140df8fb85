import { printable } from "./printable.ts";

export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string;
  /** For numbers, so that their digits line up. */
  readonly right?: boolean;
}

/** Rows under headers, in columns that line up; `head` dresses the header line. Ends without a line break. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  head: (line: string) => string = (line) => line,
): string {
  const lines = [columns.map(({ header }) => header), ...rows.map((row) => columns.map(({ cell }) => cell(row)))].map(
    (cells) => cells.map(printable),
  );
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => displayWidth(cells[index] ?? ""))));
  const [header = "", ...body] = lines.map((cells) =>
    cells
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.right ?? false))
      .join("  ")
      .trimEnd(),
  );
  return [head(header), ...body].join("\n");
}

/** One line for each field: its name, then its value, lined up. */
export function block(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join("\n");
}

function pad(cell: string, width: number, right: boolean): string {
  const blanks = " ".repeat(Math.max(0, width - displayWidth(cell)));
  return right ? blanks + cell : cell + blanks;
}

const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
// East Asian wide and full-width blocks, and what terminals draw as emoji.
const DOUBLE_WIDTH =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

/** How many columns of a terminal `text` takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : DOUBLE_WIDTH.test(character) ? 2 : 1;
  return width;
}
