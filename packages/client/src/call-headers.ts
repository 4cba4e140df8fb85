import { Code } from "@connectrpc/connect";
import { bearerToken } from "@routeplane/credentials";
import { RouteplaneError } from "./error.ts";

/** Headers of a call: of node:http, `Headers` of the Fetch API, or `Metadata` of gRPC. */
export type CallHeaders =
  | { readonly [name: string]: string | readonly string[] | undefined }
  | { get(name: string): string | null | readonly (string | Uint8Array)[] };

/** Reads the token of a call from `Authorization: Bearer …` or `x-api-key`. @throws RouteplaneError CREDENTIAL_MISSING */
export function tokenOf(headers: CallHeaders): string {
  const presented = bearerToken(headerOf(headers, "authorization"), headerOf(headers, "x-api-key"));
  if ("token" in presented) return presented.token;
  const message =
    presented.fault === "missing"
      ? "no credential: send it as `Authorization: Bearer rp_…`"
      : "two different credentials in one request: send one";
  throw new RouteplaneError(Code.Unauthenticated, "CREDENTIAL_MISSING", message);
}

/** Returns a header by its lower-case name. Several values are joined, as in HTTP; the result is then not a valid token. */
function headerOf(headers: CallHeaders, name: string): string | undefined {
  const value =
    typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, string | string[]>)[name];
  if (value === null || value === undefined || typeof value === "string") return value ?? undefined;
  return value.length === 0 ? undefined : value.join(", ");
}
