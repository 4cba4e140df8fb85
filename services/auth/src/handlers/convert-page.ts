import { type Id, type IdKind, parseId } from "@routeplane/domain";
import { fromPageToken } from "@routeplane/rpc";
import type { PageRequest } from "../domain/ports.ts";

const DEFAULT_PAGE_SIZE = 100;

/**
 * The page that a list request asks for.
 *
 * @param list name of the list; a page token is valid for one list only
 * @throws DomainError INVALID_ARGUMENT for a token of another list, or a malformed one
 */
export function fromProtoPage<K extends IdKind>(
  list: string,
  kind: K,
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
): PageRequest<Id<K>> {
  return { size: pageSize || DEFAULT_PAGE_SIZE, after: fromPageToken(list, pageToken, (id) => parseId(kind, id)) };
}
