import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Id, newId } from "@routeplane/domain";
import { mintToken } from "@routeplane/credentials";
import type { KeyPrincipal } from "@routeplane/rpc";
import { CachingVerifier } from "../../packages/rpc/src/verifier/caching-verifier.ts";
import { GuardrailCache } from "../../services/gateway/src/clients/guardrail-cache.ts";

/**
 * Measures the caches of gateways with as many keys as a large installation has: the memory of an entry beside the size that the cache
 * assumes, and the share of requests that need no call, over simulated time.
 */

const KEYS = Number(process.env["KEYS"] ?? 100_000);
const GATEWAYS = 4;
const MINUTES = Number(process.env["MINUTES"] ?? 30);
/** Requests per second of all gateways together. */
const RATES = (process.env["RATES"] ?? "1000,4000").split(",").map(Number);
const MAX_BYTES = 128 * 1024 ** 2;
const MAX_AGE_MS = 900_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Decodes a principal as from an answer of auth, so that it shares no text with another one. */
function principalOf(namespaceId: Id<"ns">, accountId: Id<"acc">, root: Id<"key">): KeyPrincipal {
  const keyId = newId("key");
  const principal = {
    kind: "key" as const,
    keyId,
    namespaceId,
    accountId,
    scopes: ["inference:invoke", "usage:read"],
    lineage: [root, keyId],
  };
  return { ...structuredClone(principal), expiresAt: undefined, graceEndsAt: undefined };
}

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

async function measureKeys(perNamespace: number): Promise<void> {
  const accountId = newId("acc");
  const roots = Array.from({ length: Math.ceil(KEYS / perNamespace) }, () => [newId("ns"), newId("key")] as const);
  const tokens = Array.from({ length: KEYS }, () => mintToken("key"));
  let next = 0;
  const verifier = new CachingVerifier({
    verifyUncached() {
      const [namespaceId, root] = roots[Math.floor(next++ / perNamespace)] ?? [newId("ns"), newId("key")];
      return Promise.resolve(principalOf(namespaceId, accountId, root));
    },
    isLive: () => true,
    maxBytes: 1024 ** 3,
  });
  const before = heap();
  for (const token of tokens) await verifier.verify(token);
  const bytes = (heap() - before) / KEYS;
  print(
    `verified key, ${perNamespace} in a namespace`,
    `${bytes.toFixed(0)} bytes, counted ${(verifier.cacheBytes / KEYS).toFixed(0)}`,
  );
  const started = performance.now();
  for (const [namespaceId] of roots.slice(0, 1)) verifier.invalidate(namespaceId);
  print("  its namespace changes", `${((performance.now() - started) * 1_000).toFixed(0)} us`);
}

function measureGuardrails(): void {
  const cache = new GuardrailCache({ maxBytes: 1024 ** 3, maxAgeMs: MAX_AGE_MS, monotonic: () => 0 });
  const answer = { guardrails: cache.share("none", 0, () => []), limits: undefined };
  const before = heap();
  for (let count = 0; count < KEYS; count++) {
    cache.put({ namespaceId: structuredClone(newId("ns")), keyId: newId("key") }, answer, 0);
  }
  print(
    "guardrails of a key",
    `${((heap() - before) / KEYS).toFixed(0)} bytes, counted ${(cache.bytes / KEYS).toFixed(0)}`,
  );
}

/** Simulates requests of random keys at random gateways. */
async function measureHits(perSecond: number): Promise<void> {
  const time = { now: 0 };
  const accountId = newId("acc");
  const tokens = Array.from({ length: KEYS }, () => mintToken("key"));
  let calls = 0;
  let callsOfGuardrails = 0;
  const gateways = Array.from({ length: GATEWAYS }, () => {
    const verifier = new CachingVerifier({
      verifyUncached() {
        calls++;
        return Promise.resolve(principalOf(newId("ns"), accountId, newId("key")));
      },
      isLive: () => true,
      maxBytes: MAX_BYTES,
      maxAgeMs: MAX_AGE_MS,
      clock: () => time.now,
      monotonic: () => time.now,
    });
    const guardrails = new GuardrailCache({ maxBytes: MAX_BYTES, maxAgeMs: MAX_AGE_MS, monotonic: () => time.now });
    return { verifier, guardrails };
  });
  const requests = MINUTES * 60 * perSecond;
  const warmUp = requests / 2;
  let warmCalls = 0;
  for (let count = 0; count < requests; count++) {
    time.now = (count * 1_000) / perSecond;
    if (count === warmUp) [warmCalls, calls, callsOfGuardrails] = [0, 0, 0];
    const { verifier, guardrails } = gateways[Math.floor(Math.random() * GATEWAYS)] ?? gateways[0]!;
    const before = calls;
    const result = await verifier.verify(tokens[Math.floor(Math.random() * KEYS)] ?? "");
    if (calls !== before) warmCalls++;
    if (!("principal" in result) || result.principal.kind !== "key") throw new Error("refused");
    if (guardrails.find(result.principal) !== undefined) continue;
    callsOfGuardrails++;
    guardrails.put(
      result.principal,
      { guardrails: guardrails.share("none", 0, () => []), limits: undefined },
      time.now,
    );
  }
  const share = (missed: number): string => `${(100 - (missed * 100) / (requests - warmUp)).toFixed(1)} %`;
  const name = `${KEYS} keys, ${GATEWAYS} gateways, ${perSecond} requests/s`;
  print(name, `keys ${share(warmCalls)} without a call, guardrails ${share(callsOfGuardrails)}`);
}

function print(name: string, figure: string): void {
  process.stdout.write(`${name.padEnd(48)}${figure}\n`);
}

await measureKeys(1);
await measureKeys(KEYS);
measureGuardrails();
for (const perSecond of RATES) await measureHits(perSecond);
