import { once } from "node:events";
import type { Context } from "../context.ts";
import { type DelimitedFormat, delimitedLines, delimitedText, isDelimited } from "../output/delimited.ts";
import { toJson } from "../output/json.ts";
import type { Output } from "../output/output.ts";
import { printable, printableJson } from "../output/printable.ts";
import { type Progress, startProgress } from "../output/progress.ts";
import { type Column, shownColumns, table, type TableLayout, tableLayout, type TableStyle } from "../output/table.ts";
import { fromProtoText } from "./values.ts";

/** A list as `--json` shows it. */
export interface ListView<Row> {
  readonly data: readonly Row[];
  /** Null on the last page. */
  readonly next_page_token: string | null;
}

/** A page of a list as the node sends it. */
export interface ListPage<Row> {
  readonly rows: readonly Row[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** Reads one page. */
export type ReadPage<Message> = (page: { pageSize: number; pageToken: string }) => Promise<ListPage<Message>>;

/** Largest page that a node sends. */
export const MAX_PAGE_SIZE = 1000;

/** Reads the pages of a list one after another, from `pageToken` on, until there are no more or `limit` rows were read. */
export async function* pagesOf<Message, Row>(
  read: ReadPage<Message>,
  fromProto: (message: Message) => Row,
  { limit = Infinity, pageToken = "" }: { readonly limit?: number; readonly pageToken?: string } = {},
): AsyncGenerator<ListPage<Row>> {
  let [left, token] = [limit, pageToken];
  do {
    const { rows, nextPageToken } = await read({ pageSize: Math.min(MAX_PAGE_SIZE, left), pageToken: token });
    yield { rows: rows.map(fromProto), nextPageToken };
    left -= rows.length;
    token = nextPageToken;
  } while (token !== "" && left > 0);
}

/** Reads all pages of a list that is needed as a whole. */
export async function allPages<Message, Row>(
  read: ReadPage<Message>,
  fromProto: (message: Message) => Row,
  progress?: Progress,
): Promise<ListView<Row>> {
  const data: Row[] = [];
  for await (const { rows } of pagesOf(read, fromProto)) {
    for (const row of rows) data.push(row);
    progress?.show(data.length);
  }
  progress?.clear();
  return { data, next_page_token: null };
}

/**
 * Prints a list page by page as it is read, with one page in memory at a time; as YAML and for a jq expression, with the whole list in
 * memory. The first page determines the column widths of a table. If the list is empty, the note `none` is printed to stderr for people.
 *
 * @param next advice for people who see an empty list
 * @returns token of the page after the last one; empty if there is none
 */
export async function showPages<Row extends object>(
  context: Context,
  pages: AsyncIterable<ListPage<Row>>,
  columns: readonly Column<Row>[],
  none: string,
  next?: string,
): Promise<string> {
  const { output, stdout } = context;
  const { textOf, end } = listWriter(output, columns);
  const progress = startProgress(context, "rows");
  let [count, nextPageToken] = [0, ""];
  const write = async (text: string): Promise<void> => {
    if (text !== "" && !stdout.write(text)) await once(stdout, "drain");
  };
  for await (const page of pages) {
    ({ nextPageToken } = page);
    await write(textOf(page.rows));
    count += page.rows.length;
    progress.show(count);
  }
  progress.clear();
  await write(end(nextPageToken));
  if (count === 0) noteNone(output, none, next);
  return nextPageToken;
}

function noteNone(output: Output, none: string, next: string | undefined): void {
  output.note(none);
  if (next !== undefined) output.advice(next);
}

/** Writer of a list in parts. */
interface ListWriter<Row> {
  /** Text of the next rows; the first call adds the beginning of the list. */
  readonly textOf: (rows: readonly Row[]) => string;
  readonly end: (nextPageToken: string) => string;
}

function listWriter<Row extends object>(output: Output, columns: readonly Column<Row>[]): ListWriter<Row> {
  const { listFormat: format } = output;
  if (isDelimited(format)) return delimitedWriter(format, columns);
  if (output.wholeLists) return wholeWriter(output.encode);
  return format === "json" ? jsonWriter() : tableWriter(columns, output.style);
}

function tableWriter<Row>(columns: readonly Column<Row>[], style: TableStyle): ListWriter<Row> {
  let layout: TableLayout<Row> | undefined;
  return {
    textOf(rows) {
      if (rows.length === 0) return "";
      const head = layout === undefined ? [(layout = tableLayout(columns, rows, style)).header] : [];
      return `${[...head, ...rows.map(layout.line)].join("\n")}\n`;
    },
    end: () => "",
  };
}

/** Writes the names of the columns before the first row. A list without rows is empty, so that a script can recognise it. */
function delimitedWriter<Row>(format: DelimitedFormat, columns: readonly Column<Row>[]): ListWriter<Row> {
  const { header, line } = delimitedLines(format, columns);
  let head = header;
  return {
    textOf(rows) {
      if (rows.length === 0) return "";
      const text = head + rows.map(line).join("");
      head = "";
      return text;
    },
    end: () => "",
  };
}

/** Writes the list as one value, once it is complete. */
function wholeWriter<Row>(encode: (value: unknown) => string): ListWriter<Row> {
  const data: Row[] = [];
  return {
    textOf(rows) {
      for (const row of rows) data.push(row);
      return "";
    },
    end(token) {
      const text = encode({ data, next_page_token: fromProtoText(token) });
      return text === "" ? "" : `${text}\n`;
    },
  };
}

/** Writes the same text as `printableJson` of the whole list. */
function jsonWriter<Row>(): ListWriter<Row> {
  let isBegun = false;
  let hasRows = false;
  const begin = (): string => {
    const head = isBegun ? "" : '{\n  "data": [';
    isBegun = true;
    return head;
  };
  return {
    textOf(rows) {
      const head = begin();
      const items = rows.map((row) => {
        const separator = hasRows ? "," : "";
        hasRows = true;
        return `${separator}\n    ${printableJson(row).replaceAll("\n", "\n    ")}`;
      });
      return head + items.join("");
    },
    end: (token) =>
      `${begin()}${hasRows ? "\n  " : ""}],\n  "next_page_token": ${printableJson(fromProtoText(token))}\n}\n`,
  };
}

/** Prints a whole list whose table has other rows than its JSON. */
export function showListAs<Row extends object, Shown>(
  { output, stdout }: Context,
  list: ListView<Row>,
  shown: readonly Shown[],
  columns: readonly Column<Shown>[],
  none: string,
  next?: string,
): void {
  if (list.data.length === 0) noteNone(output, none, next);
  const { listFormat: format } = output;
  if (isDelimited(format)) stdout.write(delimitedText(format, columns, shown));
  else output.data(list, (style) => (list.data.length === 0 ? "" : table(columns, shown, style)));
}

/**
 * Returns a function that prints one row of an endless list: a line of JSON, a line of CSV or TSV after a first line of names, a YAML
 * document, or unaligned table cells.
 */
export function rowPrinter<Row extends object>(
  { output, stdout }: Context,
  columns: readonly Column<Row>[],
): (row: Row) => void {
  const { listFormat: format } = output;
  if (isDelimited(format)) {
    const { textOf } = delimitedWriter(format, columns);
    return (row) => void stdout.write(textOf([row]));
  }
  const textOf = (row: Row): string => {
    if (format === "yaml") return `---\n${output.encode(row)}`;
    if (format === "json") return output.wholeLists ? output.encode(row) : printable(toJson(row));
    return printable(
      shownColumns(columns, format === "wide")
        .map(({ cell }) => cell(row))
        .join("  "),
    );
  };
  return (row) => {
    const text = textOf(row);
    if (text !== "") stdout.write(`${text}\n`);
  };
}
