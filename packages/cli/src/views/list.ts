import { once } from "node:events";
import type { Context } from "../context.ts";
import { printableJson } from "../output/printable.ts";
import { startProgress } from "../output/progress.ts";
import { styleFor } from "../output/style.ts";
import { type Column, table, type TableLayout, tableLayout, type TableStyle } from "../output/table.ts";
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
): Promise<ListView<Row>> {
  const data: Row[] = [];
  for await (const { rows } of pagesOf(read, fromProto)) for (const row of rows) data.push(row);
  return { data, next_page_token: null };
}

/**
 * Prints a list page by page as it is read, as a table or as JSON, in the memory of one page. The columns of the table are as wide as
 * the first page needs. If the list is empty, people get the note `none` on stderr.
 *
 * @returns token of the page after the last one; empty if there is none
 */
export async function showPages<Row>(
  context: Context,
  pages: AsyncIterable<ListPage<Row>>,
  columns: readonly Column<Row>[],
  none: string,
): Promise<string> {
  const { output, stdout } = context;
  const { textOf, end } = output.json ? jsonWriter<Row>() : tableWriter(columns, styleFor(stdout));
  const showProgress = startProgress(context, "rows");
  let [count, nextPageToken] = [0, ""];
  const write = async (text: string): Promise<void> => {
    if (text !== "" && !stdout.write(text)) await once(stdout, "drain");
  };
  for await (const page of pages) {
    ({ nextPageToken } = page);
    await write(textOf(page.rows));
    count += page.rows.length;
    showProgress(count);
  }
  await write(end(nextPageToken));
  if (count === 0) output.note(none);
  return nextPageToken;
}

/** Writer of a list in parts. */
interface ListWriter<Row> {
  /** Text of the next rows, and before the first ones what a list begins with. */
  readonly textOf: (rows: readonly Row[]) => string;
  readonly end: (nextPageToken: string) => string;
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

/** Writes what `printableJson` makes of the whole list. */
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

/** Prints a whole list with other rows in the table than in the JSON. */
export function showListAs<Row, Shown>(
  { output }: Context,
  list: ListView<Row>,
  shown: readonly Shown[],
  columns: readonly Column<Shown>[],
  none: string,
): void {
  if (list.data.length === 0) output.note(none);
  output.data(list, (style) => (list.data.length === 0 ? "" : table(columns, shown, style)));
}
