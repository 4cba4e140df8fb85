import type { NodeClient } from "../../client.ts";
import type { RequestNames } from "../../request-names.ts";
import { type ListPage, pagesOf } from "../../views/list.ts";
import { fromProtoRequest, type RequestView } from "../../views/requests/request.ts";
import type { toFilter } from "./request-filter.ts";

/** Pages of the request log that match a filter, with names beside ids. */
export function readRequests(
  { usage }: NodeClient,
  names: RequestNames,
  filter: ReturnType<typeof toFilter>,
  from: { readonly limit?: number; readonly pageToken?: string } = {},
): AsyncIterable<ListPage<RequestView>> {
  const read = async (page: { pageSize: number; pageToken: string }) => {
    const { requests: rows, nextPageToken } = await usage.listRequests({ ...page, filter });
    await names.load(rows.map(({ keyId }) => keyId));
    return { rows, nextPageToken };
  };
  return pagesOf(read, (request) => fromProtoRequest(request, names), from);
}
