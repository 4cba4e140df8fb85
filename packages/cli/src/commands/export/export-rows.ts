import { once } from "node:events";
import { type Command, Option } from "commander";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { type CellValue, csvLine } from "../../output/csv.ts";
import { toJson } from "../../output/json.ts";
import { printable } from "../../output/printable.ts";
import { startProgress } from "../../output/progress.ts";
import type { ListPage } from "../../views/list.ts";
import type { RangeOptions, TimeRange } from "../time-range.ts";
import { beginExport, resumeExport } from "./export-file.ts";

/** Options of an export, except those that select its rows. */
export interface ExportOptions {
  readonly format: "csv" | "jsonl";
  readonly output: string;
  readonly resume?: boolean;
}

/** A log that is exported page by page, in the memory of one page. */
export interface ExportedLog<Row> {
  /** Plural noun for the rows, for messages. */
  readonly rowsName: string;
  /** Name of the field with the number of rows, in the JSON about a file. */
  readonly countName: string;
  /** Columns of CSV. */
  readonly fieldNames: readonly (keyof Row)[];
  /** Options that select rows, as they were written: they must be equal when an export is resumed. */
  readonly selection: object;
  /** Reads the pages of rows between `from` and `to`, from a page token on. */
  readonly pages: (range: ExportRange) => AsyncIterable<ListPage<Row>>;
}

interface ExportRange {
  readonly from?: Date | undefined;
  readonly to: Date;
  readonly pageToken: string;
}

type RowOf<Row> = { readonly [Field in keyof Row]: CellValue };

const STDOUT = "-";

/** Adds the options of an export. Its `--output` replaces the global one in the help. */
export function withExportOptions(command: Command, group: Command): Command {
  return command
    .addOption(new Option("--format <format>", "Format of the rows").choices(["csv", "jsonl"]).makeOptionMandatory())
    .addOption(
      new Option("-o, --output <file>", "File to write; must not exist without --resume").default(STDOUT, "stdout"),
    )
    .option("--resume", "Resume an interrupted export, with the same options")
    .configureHelp({
      showGlobalOptions: true,
      visibleGlobalOptions: () =>
        group
          .createHelp()
          .visibleGlobalOptions(group)
          .filter(({ long }) => long !== "--output"),
    });
}

/** Range of an export as it was written, for `selection`: a span such as 24h is resolved only when the export starts. */
export function writtenRangeOf({ from, since, to }: RangeOptions): object {
  return { from: (from ?? since)?.text, to: to?.text };
}

/**
 * Exports a log to stdout or to a file.
 *
 * @param open looks up the selected rows; called after the options have been checked @throws CliError usage if the export cannot be
 *   resumed, as one to stdout
 */
export async function exportRows<Row extends RowOf<Row>>(
  context: Context,
  options: ExportOptions & TimeRange,
  open: () => Promise<ExportedLog<Row>>,
): Promise<void> {
  const { output, resume = false } = options;
  if (output === STDOUT && resume) {
    throw usageError("--resume: only an export to a file can be resumed", "Name the file with --output.");
  }
  const log = await open();
  await (output === STDOUT ? toStdout(context, options, log) : toFile(context, options, log));
}

async function toStdout<Row extends RowOf<Row>>(
  context: Context,
  { format, from, to = new Date() }: ExportOptions & TimeRange,
  { rowsName, fieldNames, pages }: ExportedLog<Row>,
): Promise<void> {
  const { stdout } = context;
  let [head, count] = [headOf(format, fieldNames), 0];
  const progress = startProgress(context, rowsName);
  for await (const { rows } of pages({ from, to, pageToken: "" })) {
    if (!stdout.write(head + linesOf(format, fieldNames, rows))) await once(stdout, "drain");
    head = "";
    progress.show((count += rows.length));
  }
  progress.clear();
  context.output.note(`${count} ${rowsName}`);
}

async function toFile<Row extends RowOf<Row>>(
  context: Context,
  { format, output, resume, from, to = new Date() }: ExportOptions & TimeRange,
  { rowsName, countName, fieldNames, selection: selected, pages }: ExportedLog<Row>,
): Promise<void> {
  const selection = JSON.stringify({ format, ...selected });
  const file = await (resume
    ? resumeExport(output, selection)
    : beginExport(output, selection, { from, to }, headOf(format, fieldNames)));
  const progress = startProgress(context, rowsName);
  try {
    for await (const { rows, nextPageToken } of pages(file.progress)) {
      await file.add(linesOf(format, fieldNames, rows), rows.length, nextPageToken);
      progress.show(file.progress.rows);
    }
  } finally {
    await file.close();
  }
  progress.clear();
  await file.complete();
  const count = file.progress.rows;
  context.output.note(`${count} ${rowsName} in ${output}`);
  context.output.data({ file: output, format, [countName]: count }, () => "");
}

/** Text before the first row. */
function headOf(format: ExportOptions["format"], fieldNames: readonly PropertyKey[]): string {
  return format === "csv" ? csvLine(fieldNames.map(String)) : "";
}

function linesOf<Row extends RowOf<Row>>(
  format: ExportOptions["format"],
  fieldNames: readonly (keyof Row)[],
  rows: readonly Row[],
): string {
  const lineOf = (row: Row): string =>
    format === "jsonl" ? `${printable(toJson(row))}\n` : csvLine(fieldNames.map((name) => row[name]));
  return rows.map(lineOf).join("");
}
