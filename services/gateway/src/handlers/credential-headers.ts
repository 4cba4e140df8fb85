import type { CredentialHeaders } from "../domain/request/credential.ts";
import type { Exchange } from "./exchange.ts";
import { isRepeated } from "./request-head.ts";

/** Returns the headers of a request that can hold a key. */
export function credentialHeadersOf({ request }: Exchange): CredentialHeaders {
  const { authorization, "x-api-key": apiKey } = request.headers;
  // Two such headers are two credentials. Joined they are not a valid key, so that the request is refused.
  return {
    authorization: isRepeated(request, "authorization")
      ? request.headersDistinct["authorization"]?.join(", ")
      : authorization,
    apiKey: joinedHeader(apiKey),
  };
}

/** Value of a header as one text. Repeated values are joined, as Node does for most headers. */
export function joinedHeader(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(", ") : header;
}
