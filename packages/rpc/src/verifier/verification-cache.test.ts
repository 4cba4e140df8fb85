import { DomainError, type Id, newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import type { KeyPrincipal } from "../principal.ts";
import { CachingVerifier } from "./caching-verifier.ts";
import { mintToken } from "@routeplane/credentials";

const MINUTE_MS = 60_000;
/** A fifth of the default of a gateway, for a fifth of 100,000 keys. */
const MAX_BYTES = (128 * 1024 ** 2) / 5;

const accountId = newId("acc");

function principalIn(namespaceId: Id<"ns">, parents: readonly Id<"key">[] = []): KeyPrincipal {
  const keyId = newId("key");
  const scopes = ["inference:invoke", "usage:read"];
  return {
    kind: "key",
    keyId,
    namespaceId,
    accountId,
    scopes,
    lineage: [...parents, keyId],
    expiresAt: undefined,
    graceEndsAt: undefined,
  };
}

/** A verifier of tokens whose principals the test decides on, with a clock that it moves. */
function verifierOf(maxBytes: number) {
  const principals = new Map<string, KeyPrincipal>();
  const time = { now: 0 };
  const calls: string[] = [];
  const verifier = new CachingVerifier({
    verifyUncached(token) {
      calls.push(token);
      const principal = principals.get(token);
      if (principal !== undefined) return Promise.resolve(principal);
      return Promise.reject(new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "revoked"));
    },
    isLive: () => true,
    maxBytes,
    maxAgeMs: 15 * MINUTE_MS,
    clock: () => time.now,
    monotonic: () => time.now,
  });
  const add = (principal: KeyPrincipal): string => {
    const token = mintToken("key");
    principals.set(token, principal);
    return token;
  };
  const resultOf = async (token: string) => Object.keys(await verifier.verify(token))[0];
  /** Number of calls that verifying all these tokens makes. */
  const callsFor = async (tokens: readonly string[]): Promise<number> => {
    const before = calls.length;
    for (const token of tokens) await verifier.verify(token);
    return calls.length - before;
  };
  return { verifier, principals, time, add, resultOf, callsFor };
}

it("keeps as many keys as its memory is sized for, for minutes, and refuses a revoked one at its change", async () => {
  const { verifier, principals, time, add, resultOf, callsFor } = verifierOf(MAX_BYTES);
  const root = newId("key");
  const tokens = Array.from({ length: 20_000 }, () => add(principalIn(newId("ns"), [root])));
  expect(await callsFor(tokens)).toBe(20_000);
  time.now = 14 * MINUTE_MS;
  // A few are verified again in the background.
  expect(await callsFor(tokens)).toBeLessThan(100);
  const [token = ""] = tokens;
  const { keyId = "" } = principals.get(token) ?? {};
  principals.delete(token);
  verifier.invalidate(keyId);
  expect(await resultOf(token)).toBe("refusal");
  principals.clear();
  verifier.invalidate(root);
  expect(await resultOf(tokens[5_000] ?? "")).toBe("refusal");
  expect(await callsFor(tokens.slice(19_000))).toBe(1_000);
});

it("keeps keys in use when there are more keys than fit into its memory", async () => {
  const { add, callsFor } = verifierOf(1024 ** 2);
  const hot = Array.from({ length: 100 }, () => add(principalIn(newId("ns"))));
  await callsFor(hot);
  for (let count = 0; count < 50; count++) {
    await callsFor(Array.from({ length: 100 }, () => add(principalIn(newId("ns")))));
    expect(await callsFor(hot)).toBe(0);
  }
});

it("verifies a key in use again in the background, and drops it if it is refused", async () => {
  const { principals, time, add, resultOf, callsFor } = verifierOf(MAX_BYTES);
  const token = add(principalIn(newId("ns")));
  await resultOf(token);
  time.now = 29_999;
  expect(await callsFor([token])).toBe(0);
  principals.delete(token);
  time.now = 30_000;
  // The cached result serves this request: a change would have ended it.
  expect(await resultOf(token)).toBe("principal");
  await new Promise(setImmediate);
  expect(await resultOf(token)).toBe("refusal");
});

it("verifies a bounded number of keys in a second again", async () => {
  const { time, add, callsFor } = verifierOf(MAX_BYTES);
  const tokens = Array.from({ length: 1_000 }, () => add(principalIn(newId("ns"))));
  await callsFor(tokens);
  time.now = MINUTE_MS;
  expect(await callsFor(tokens)).toBe(20);
  time.now += 1_000;
  expect(await callsFor(tokens)).toBe(20);
});
