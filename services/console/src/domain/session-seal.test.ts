import { randomBytes } from "node:crypto";
import { constant, type Watched } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { parseSealKeys, type SealKeys } from "./seal-keys.ts";
import { SessionSeal } from "./session-seal.ts";

const NOW = Date.parse("2026-11-30T12:00:00Z");
const SESSION = {
  token: "rpw_live_token",
  expiresAt: new Date(NOW + 3_600_000),
  namespaceId: "ns_1",
  name: "root",
  canSwitch: true,
};

const newKey = (id: string): string => `${id}:${randomBytes(32).toString("base64url")}`;

function keysOf(...texts: string[]): Watched<SealKeys> {
  const keys = parseSealKeys(texts.join(","));
  if (keys === undefined) throw new Error("the keys are malformed");
  return constant(keys);
}

function sealOf(keys: Watched<SealKeys>, nowMs = NOW): SessionSeal {
  return new SessionSeal(keys, () => nowMs);
}

describe("a sealed session", () => {
  it("opens to what was sealed, differs each time, and shows nothing of it", () => {
    const seal = sealOf(keysOf(newKey("k1")));
    const [first, second] = [seal.seal(SESSION), seal.seal(SESSION)];
    expect(seal.open(first)).toEqual(SESSION);
    expect(first).not.toBe(second);
    expect(Buffer.from(first.split(".")[1] ?? "", "base64url").toString("latin1")).not.toContain("rpw_");
  });

  it("opens while its key is in the ring, but not once the key is removed", () => {
    const [old, next] = [newKey("k1"), newKey("k2")];
    const sealed = sealOf(keysOf(old)).seal(SESSION);
    expect(sealOf(keysOf(next, old)).open(sealed)).toEqual(SESSION);
    expect(sealOf(keysOf(next, old)).seal(SESSION)).toMatch(/^k2\./);
    expect(sealOf(keysOf(next)).open(sealed)).toBeUndefined();
  });

  it("does not open with another key of the same id, nor under another id of the same key", () => {
    const key = newKey("k1");
    const sealed = sealOf(keysOf(key)).seal(SESSION);
    expect(sealOf(keysOf(newKey("k1"))).open(sealed)).toBeUndefined();
    const renamed = key.replace("k1:", "k2:");
    expect(sealOf(keysOf(renamed)).open(sealed.replace("k1.", "k2."))).toBeUndefined();
  });

  it("does not open once any of its bits is changed, or it is truncated", () => {
    const seal = sealOf(keysOf(newKey("k1")));
    const [id = "", text = ""] = seal.seal(SESSION).split(".");
    const bytes = Buffer.from(text, "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(seal.open(`${id}.${altered.toString("base64url")}`)).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(seal.open(`${id}.${bytes.subarray(0, length).toString("base64url")}`)).toBeUndefined();
    }
  });

  it("does not open from the moment of its expiry", () => {
    const keys = keysOf(newKey("k1"));
    const sealed = sealOf(keys).seal(SESSION);
    const expiresAtMs = SESSION.expiresAt.getTime();
    expect(sealOf(keys, expiresAtMs - 1).open(sealed)).toEqual(SESSION);
    expect(sealOf(keys, expiresAtMs).open(sealed)).toBeUndefined();
  });

  it.each(["", "k1", "k1.", ".abc", "k1.a b", "K1.abcd", `k1.${"A".repeat(5_000)}`])("does not open %j", (text) => {
    expect(sealOf(keysOf(newKey("k1"))).open(text)).toBeUndefined();
  });
});

it.each([
  ["nothing", ""],
  ["a short key", "k1:AAAA"],
  ["a long key", `k1:${randomBytes(33).toString("base64url")}`],
  ["hexadecimal digits", `k1:${randomBytes(32).toString("hex")}`],
  ["an id twice", `${newKey("k1")},${newKey("k1")}`],
  ["no id", newKey("").slice(1)],
  ["17 keys", Array.from({ length: 17 }, (_, index) => newKey(`k${index}`)).join(",")],
])("refuses a key ring with %s", (_, text) => {
  expect(parseSealKeys(text)).toBeUndefined();
});
