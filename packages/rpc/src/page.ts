import { create, type DescMessage, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { toPageToken } from "./page-token.ts";

/**
 * Maximum size of the rows of a page, encoded. A page that would be larger ends early, so that no page exceeds the limits of its readers: 4
 * MiB in other services and in gRPC clients, 16 MiB in the command line. A single row that is larger becomes a page of its own.
 */
export const MAX_PAGE_BYTES = 2 << 20;

/** Bytes of a field number and a length in front of a row. */
const ROW_HEADER_BYTES = 6;

/** List of an RPC: the form of its rows, and the position of each. */
export interface PagedList<Row, Schema extends DescMessage> {
  /** Name of the list; a page token is valid for one list only. */
  readonly list: string;
  readonly schema: Schema;
  readonly toProto: (row: Row) => MessageInitShape<Schema>;
  /** Position after which the page that follows this row starts. */
  readonly positionOf: (row: Row) => string;
}

/** Rows that were read for a page. */
export interface ReadPage<Row> {
  readonly rows: readonly Row[];
  /** True if rows follow on a next page. */
  readonly hasMore: boolean;
}

/** Converts rows to the messages of a page, at most `MAX_PAGE_BYTES` of them, and makes the token of the next page. */
export function toProtoPage<Row, Schema extends DescMessage>(
  { rows, hasMore }: ReadPage<Row>,
  { list, schema, toProto, positionOf }: PagedList<Row, Schema>,
): { messages: MessageShape<Schema>[]; nextPageToken: string } {
  const messages: MessageShape<Schema>[] = [];
  let last: Row | undefined;
  let bytes = 0;
  for (const row of rows) {
    const message = create(schema, toProto(row));
    bytes += toBinary(schema, message).length + ROW_HEADER_BYTES;
    if (bytes > MAX_PAGE_BYTES && last !== undefined) {
      return { messages, nextPageToken: toPageToken(list, positionOf(last)) };
    }
    messages.push(message);
    last = row;
  }
  return { messages, nextPageToken: hasMore && last !== undefined ? toPageToken(list, positionOf(last)) : "" };
}
