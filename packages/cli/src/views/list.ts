import type { Context } from "../context.ts";
import { type Column, table } from "../output/table.ts";

/** A list as `--json` shows it. */
export interface ListView<Row> {
  readonly data: readonly Row[];
  /** Null on the last page. */
  readonly next_page_token: string | null;
}

const PAGE_SIZE = 1000;

/** Reads all pages of a list. */
export async function allPages<Message, Row>(
  read: (page: { pageSize: number; pageToken: string }) => Promise<{ rows: readonly Message[]; nextPageToken: string }>,
  fromProto: (message: Message) => Row,
): Promise<ListView<Row>> {
  const data: Row[] = [];
  let pageToken = "";
  do {
    const { rows, nextPageToken } = await read({ pageSize: PAGE_SIZE, pageToken });
    data.push(...rows.map(fromProto));
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return { data, next_page_token: null };
}

/** Prints a list as a table, or as JSON. If it is empty, people get the note `none` on stderr. */
export function showList<Row>(
  context: Context,
  list: ListView<Row>,
  columns: readonly Column<Row>[],
  none: string,
): void {
  showListAs(context, list, list.data, columns, none);
}

/** Prints a list as `showList` does, with other rows in the table than in the JSON. */
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
