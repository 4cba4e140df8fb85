import { newId, parseId } from "@routeplane/domain";
import { expect, it } from "vitest";
import { fromPageToken, toPageToken } from "./page-token.ts";

const parse = (text: string) => parseId("key", text);

it("decodes the position that it encodes", () => {
  const id = newId("key");
  expect(fromPageToken("keys", toPageToken("keys", id), parse)).toBe(id);
  expect(fromPageToken("keys", "", parse)).toBeUndefined();
});

it.each([toPageToken("policies", newId("key")), toPageToken("keys", newId("ns")), "AAAA", "%%%", "' or 1=1"])(
  "refuses %j, and names the field",
  (token) => {
    expect(() => fromPageToken("keys", token, parse)).toThrow(/^page_token: /);
  },
);
