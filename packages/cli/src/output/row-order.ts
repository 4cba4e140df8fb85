import { type Command, Option } from "commander";
import { rowsArgument } from "../arguments.ts";
import { usageError } from "../errors.ts";
import type { CellValue } from "./csv.ts";
import { toJson } from "./json.ts";
import { type Column, columnName, columnValue } from "./table.ts";

/** Order of the rows of a list that is read as a whole, and the number of rows to show. */
export interface RowOrder {
  /** Name of a column, after a `-` for the reverse order. */
  readonly sort?: string;
  readonly top?: number;
}

/** Adds the options of a row order. @param rows the rows in the plural, for the help */
export function addOrderOptions(command: Command, rows: string): Command {
  return command
    .addOption(new Option("--sort <column>", `Column to sort the ${rows} by, see below`))
    .addOption(new Option("--top <number>", `Number of ${rows} to show, from the first`).argParser(rowsArgument))
    .addHelpText(
      "after",
      "\n--sort takes the name of a column, as `-o csv` shows it: largest numbers first, texts from A to Z; -name reverses that.",
    );
}

/**
 * Creates a function that orders rows. Equal rows keep their order; rows without a value come last.
 *
 * @throws CliError usage if there is no such column
 */
export function orderOf<Row>(
  columns: readonly Column<Row>[],
  { sort, top = Infinity }: RowOrder,
): (rows: readonly Row[]) => readonly Row[] {
  if (sort === undefined) return (rows) => rows.slice(0, top);
  const [, reverse, name] = /^(-?)(.*)$/s.exec(sort) ?? [];
  const column = columns.find((candidate) => columnName(candidate) === name);
  if (column === undefined) {
    const names = columns.filter(({ only }) => only !== "people").map(columnName);
    throw usageError(`--sort: ${JSON.stringify(sort)} is not one of ${names.join(", ")}`);
  }
  const sign = reverse === "" ? 1 : -1;
  return (rows) =>
    rows.toSorted((left, right) => compared(columnValue(column, left), columnValue(column, right), sign)).slice(0, top);
}

function compared(left: CellValue, right: CellValue, sign: number): number {
  if (isAbsent(left) || isAbsent(right)) return Number(isAbsent(left)) - Number(isAbsent(right));
  if (isNumeric(left) && isNumeric(right)) return sign * (left < right ? 1 : -Number(left > right));
  const [before, after] = [textOf(left), textOf(right)];
  return sign * (before < after ? -1 : Number(before > after));
}

function isNumeric(value: CellValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function textOf(value: CellValue): string {
  return typeof value === "object" ? toJson(value) : String(value);
}

function isAbsent(value: CellValue): boolean {
  return value === null || value === undefined || value === "";
}
