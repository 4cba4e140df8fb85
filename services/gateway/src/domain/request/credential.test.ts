import { DomainError, newId } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { callerWith } from "../../../test/fake-verifier.ts";
import { authenticate, authorise, requireKey } from "./credential.ts";

const mustNotVerify = (): never => {
  throw new Error("the verifier was called");
};

function refusedWith(status: number, message: RegExp): unknown {
  return expect.objectContaining({
    status,
    message: expect.stringMatching(message) as unknown,
  });
}

describe("authenticate", () => {
  it.each([
    ["none", {}, /no API key/],
    ["a blank one", { apiKey: " " }, /no API key/],
    ["another scheme", { authorization: "Basic abc" }, /no API key/],
    ["two different ones", { authorization: "Bearer rp_a", apiKey: "rp_b" }, /two different/],
    ["the services' own", { authorization: "Bearer rps_secret" }, /only verifies keys/],
    ["the services' own in the other header", { apiKey: "rps_secret" }, /only verifies keys/],
  ])("refuses %s without verifying a token", async (_, headers, message) => {
    const sent = { authorization: undefined, apiKey: undefined, ...headers };
    await expect(async () => authenticate(sent, mustNotVerify)).rejects.toEqual(refusedWith(401, message));
  });

  it.each([
    { authorization: "Bearer rp_a", apiKey: undefined },
    { authorization: undefined, apiKey: "rp_a" },
    { authorization: "bearer rp_a", apiKey: "rp_a" },
  ])("accepts one key in either header: %j", async (headers) => {
    const verified: string[] = [];
    await authenticate(headers, async (token) => {
      verified.push(token);
      return callerWith([]);
    });
    expect(verified).toEqual(["rp_a"]);
  });

  it("rejects a key that cannot be verified now as UNAVAILABLE, not as invalid", async () => {
    const down = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");
    await expect(
      authenticate({ authorization: "Bearer rp_a", apiKey: undefined }, () => Promise.reject(down)),
    ).rejects.toBe(down);
  });
});

describe("authorise", () => {
  it("refuses a session, whatever its scopes", () => {
    const ofKey = { ...callerWith(["inference:*"]), sessionId: newId("ses") };
    for (const caller of [ofKey, { kind: "operator" as const, sessionId: newId("ses") }]) {
      expect(() => authorise(caller, "inference:invoke")).toThrow(refusedWith(403, /session credential/));
      expect(() => requireKey(caller)).toThrow(refusedWith(403, /session credential/));
    }
  });

  it("accepts a wildcard for its own resource only", () => {
    expect(authorise(callerWith(["inference:*"]), "inference:invoke")).toMatchObject({ kind: "key" });
    expect(() => authorise(callerWith(["keys:*", "usage:read"]), "inference:invoke")).toThrow(
      expect.objectContaining({ status: 403 }),
    );
    expect(() => authorise(callerWith([]), "inference:invoke")).toThrow();
  });
});
