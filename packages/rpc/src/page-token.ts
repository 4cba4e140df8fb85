import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { PageTokenSchema } from "@routeplane/contracts/paging";
import { type FieldFault, invalidField } from "@routeplane/domain";

/** Token of the page that follows the row `afterId` of `list`. Runs in browsers too. */
export function toPageToken(list: string, afterId: string): string {
  return base64Encode(toBinary(PageTokenSchema, create(PageTokenSchema, { list, afterId })), "url");
}

const PAGE_TOKEN = { field: "page_token", rule: "must be the next_page_token of an earlier page of this list" };

/**
 * Id after which a page starts; undefined for the first page.
 *
 * @param fault field and rule of the error, if the token is not in `page_token`
 * @throws DomainError INVALID_ARGUMENT if it is not a token of this list
 */
export function fromPageToken<T>(
  list: string,
  token: string,
  parseId: (id: string) => T | undefined,
  fault: FieldFault = PAGE_TOKEN,
): T | undefined {
  if (token === "") return undefined;
  const afterId = positionIn(list, token);
  const id = afterId === undefined ? undefined : parseId(afterId);
  if (id === undefined) throw invalidField(fault.field, fault.rule);
  return id;
}

function positionIn(list: string, token: string): string | undefined {
  try {
    const position = fromBinary(PageTokenSchema, Buffer.from(token, "base64url"));
    return position.list === list ? position.afterId : undefined;
  } catch {
    return undefined;
  }
}
