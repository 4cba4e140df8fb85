import { expect, it } from "vitest";
import { type CallHeaders, tokenOf } from "./call-headers.ts";
import { RouteplaneError } from "./error.ts";

/** gRPC metadata with these values of `authorization`. */
const metadata = (...values: readonly string[]) => ({
  get: (name: string) => (name === "authorization" ? values : []),
});

function readToken(headers: CallHeaders): string {
  try {
    return tokenOf(headers);
  } catch (error) {
    return error instanceof RouteplaneError ? error.reason : "another error";
  }
}

it.each<[string, CallHeaders, string]>([
  ["node:http's headers", { authorization: "Bearer a" }, "a"],
  ["x-api-key", { "x-api-key": "a" }, "a"],
  ["two headers that agree", { authorization: "bearer a", "x-api-key": "a" }, "a"],
  ["the Fetch API's headers", new Headers({ authorization: "Bearer a" }), "a"],
  ["gRPC's metadata", metadata("Bearer a"), "a"],
])("reads the token from %s", (_name, headers, token) => {
  expect(readToken(headers)).toBe(token);
});

it.each<[string, CallHeaders]>([
  ["no header", {}],
  ["another scheme", { authorization: "Basic a" }],
  ["two headers that differ", { authorization: "Bearer a", "x-api-key": "b" }],
  ["several values", metadata("Bearer a", "Bearer b")],
  ["several values in node:http", { "x-api-key": ["a b", "c"], authorization: ["Bearer a", "Bearer b"] }],
  ["no metadata", metadata()],
  ["a header that is called get", { get: "Bearer a" }],
])("refuses %s", (_name, headers) => {
  expect(readToken(headers)).toBe("CREDENTIAL_MISSING");
});
