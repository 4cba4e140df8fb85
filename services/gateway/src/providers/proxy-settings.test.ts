import { describe, expect, it } from "vitest";
import { proxyFor } from "./proxy-settings.ts";

/** Origin of the proxy for an address; undefined for none. */
function originFor(address: string, variables: Record<string, string>): string | undefined {
  return proxyFor(new URL(address), (name) => variables[name])?.proxy.origin.origin;
}

const BOTH = { HTTPS_PROXY: "http://p:1", HTTP_PROXY: "http://q:2" };

describe("the proxy of an upstream", () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ["https://api.example.com/v1", {}, undefined],
    ["https://api.example.com/v1", BOTH, "http://p:1"],
    ["http://api.example.com/v1", BOTH, "http://q:2"],
    ["https://api.example.com/v1", { HTTP_PROXY: "http://q:2" }, undefined],
    ["https://a.example", { HTTPS_PROXY: "http://p:1", https_proxy: "http://low:3" }, "http://low:3"],
    ["https://a.example", { ALL_PROXY: "http://all:4" }, "http://all:4"],
    ["http://a.example", { all_proxy: "http://all:4", HTTP_PROXY: "http://q:2" }, "http://q:2"],
    ["http://a.example", { HTTP_PROXY: "proxy.local:3128" }, "http://proxy.local:3128"],
    ["http://a.example", { HTTP_PROXY: "https://tls.local" }, "https://tls.local"],
    ["http://a.example", { HTTP_PROXY: "" }, undefined],
  ])("to %s is chosen by scheme from %j", (address, variables, origin) => {
    expect(originFor(address, variables)).toBe(origin);
  });

  it.each([
    ["*", "a.example", true],
    ["a.example", "a.example", true],
    ["A.Example", "a.example", true],
    ["a.example.", "a.example", true],
    ["a.example", "b.a.example", true],
    [".a.example", "b.a.example", true],
    [".a.example", "a.example", true],
    ["*.a.example", "b.a.example", true],
    ["*.a.example", "a.example", false],
    ["a.example", "ba.example", false],
    ["x, a.example ,y", "a.example", true],
    ["x a.example", "a.example", true],
    ["a.example:443", "a.example", true],
    ["a.example:8443", "a.example", false],
    ["a.example:8443", "a.example:8443", true],
    ["127.0.0.1", "127.0.0.1:8080", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["127.0.0.0/8", "127.0.0.2", true],
    ["10.0.0.0/8", "127.0.0.2", false],
    ["10.0.0.0/99", "10.0.0.1", false],
    ["::1", "[::1]:80", true],
    ["[::1]", "[::1]", true],
    ["[::1]:81", "[::1]:80", false],
    ["fd00::/8", "[fd12::1]", true],
    ["", "a.example", false],
    [",,", "a.example", false],
  ])("is none where NO_PROXY is %j and the host %s: %j", (noProxy, host, isDirect) => {
    for (const name of ["NO_PROXY", "no_proxy"]) {
      expect(originFor(`https://${host}`, { ...BOTH, [name]: noProxy })).toBe(isDirect ? undefined : "http://p:1");
    }
  });

  it("gets its credentials, which are secrets in each of their forms", () => {
    const found = proxyFor(new URL("https://a.example"), (name) =>
      name === "HTTPS_PROXY" ? "http://me:pass%40word@p:1" : undefined,
    );
    const basic = Buffer.from("me:pass@word").toString("base64");
    expect(found?.proxy.authorization).toBe(`Basic ${basic}`);
    expect(found?.secrets).toEqual(expect.arrayContaining(["pass@word", "pass%40word", basic]));
  });

  it.each(["socks5://p:1", "http://", "ftp://p", "http://a:%zz@p"])(
    "that cannot be used is refused without its value: %s",
    (url) => {
      expect(() => originFor("https://a.example", { ALL_PROXY: url })).toThrow(/^ALL_PROXY: must be http/);
      expect(originFor("https://a.example", { ALL_PROXY: url, NO_PROXY: "a.example" })).toBe(undefined);
    },
  );
});
