import { describe, expect, it } from "vitest";
import { bearerToken } from "./bearer-token.ts";

describe("the credential of a request", () => {
  it("is read from either header, and from both if they agree", () => {
    expect(bearerToken("Bearer a", null)).toEqual({ token: "a" });
    expect(bearerToken("bearer  a", "")).toEqual({ token: "a" });
    expect(bearerToken(undefined, "a")).toEqual({ token: "a" });
    expect(bearerToken("Bearer a", "a")).toEqual({ token: "a" });
  });

  it("is refused when two differ", () => {
    expect(bearerToken("Bearer a", "b")).toEqual({ fault: "conflict" });
    expect(bearerToken("Basic a", "b")).toEqual({ fault: "conflict" });
    expect(bearerToken("Bearer a, Bearer b", null)).toEqual({ fault: "conflict" });
  });

  it("is missing when no header holds one", () => {
    for (const header of [null, "", "Bearer", "Bearer ", "Basic abc", "Bearer a b"]) {
      expect(bearerToken(header, null)).toEqual({ fault: "missing" });
    }
  });
});
