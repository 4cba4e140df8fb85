import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { newNamespace } from "../harness/policies.ts";
import { type CountedNode, NO_DIFFERENCES, startCountedNode } from "./counted-node.ts";

/**
 * Tests of concurrent requests of several keys over three gateways, under budgets of key, parent and namespace; each budget is the tightest
 * in one of the tests. Runs only in full, by `npm run faults`; `services/gateway/test/slices.test.ts` has 300 requests in one process.
 */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
const COST = 1_000;

vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

let counted: CountedNode;

/**
 * Sends a request until it is admitted or denied. On a busy machine, policy may not answer in time (503), and this process may not send all
 * requests in time (408); neither kind has reached the upstream.
 *
 * @returns its status
 */
async function ask(n: number, token: string): Promise<number> {
  for (;;) {
    const status = await askOnce(n, token);
    if (status !== 503 && status !== 408) return status;
  }
}

async function askOnce(n: number, token: string): Promise<number> {
  const url = counted.node.urls[n % 3] ?? expect.fail("there are three gateways");
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "tight", max_tokens: COST, messages: [{ role: "user", content: "hi" }] }),
  });
  await response.text();
  return response.status;
}

interface Limits {
  readonly namespace: number;
  readonly parent: number;
  readonly key: number;
}

interface Effective {
  readonly budgets: readonly {
    readonly limit_micro_usd: number;
    readonly spent_micro_usd: number;
    readonly reserved_micro_usd: number;
  }[];
}

/** Namespace with a budget on it, on a key and on that key's parent; and the tokens of keys under one, two or all of them. */
async function startLimited(name: string, limits: Limits) {
  const namespace = await newNamespace(counted.node, name);
  const { root } = namespace;
  const parent = await namespace.mint(root.token, "parent");
  const [key, sibling] = [await namespace.mint(parent.token, "key"), await namespace.mint(parent.token, "sibling")];
  const budget = (limit: number) => ({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: `${limit}` } });
  await namespace.bind(budget(limits.namespace));
  await namespace.bind(budget(limits.parent), parent.id);
  await namespace.bind(budget(limits.key), key.id);
  const principal = ["--principal-type", "api_key", "--principal-id", key.id];
  return {
    tokens: { root: root.token, parent: parent.token, sibling: sibling.token, key: key.token },
    budgets: async () => (await namespace.cli<Effective>(root.token, "policy", "effective", ...principal)).budgets,
  };
}

/** Limits in multiples of half of what the requests would cost, and the keys whose requests these are. */
const WIDE = 20;
const CASES = [
  ["each", ["root", "parent", "sibling", "key"], { namespace: 1, parent: 0.7, key: 0.3 }],
  ["the namespace", ["root", "parent", "sibling", "key"], { namespace: 1, parent: WIDE, key: WIDE }],
  ["the parent", ["parent", "sibling", "key"], { namespace: WIDE, parent: 1, key: WIDE }],
  ["the key", ["key"], { namespace: WIDE, parent: WIDE, key: 1 }],
] as const;

describe.runIf(isFull).each([300, 1_000])("%i requests at a time over three gateways", (requests) => {
  beforeAll(async () => {
    counted = await startCountedNode({ gateways: 3 });
  });
  afterAll(() => counted?.remove());

  it.each(CASES)("never pass the limit of %s, and use nearly all of it", async (name, keys, parts) => {
    const { tightUpstream } = counted;
    tightUpstream.reset();
    const tight = (requests / 2) * COST;
    const limits = { namespace: parts.namespace * tight, parent: parts.parent * tight, key: parts.key * tight };
    const { tokens, budgets } = await startLimited(`limit-of-${name.replace("the ", "")}-${requests}`, limits);
    // Each key's requests are spread over the gateways.
    const tokenOf = (n: number): string => tokens[keys[Math.floor(n / 3) % keys.length] ?? "key"];
    const statuses = await Promise.all(Array.from({ length: requests }, (_, n) => ask(n, tokenOf(n))));
    expect(new Set(statuses)).toEqual(new Set([200, 402]));
    expect(tightUpstream.spentMicroUsd).toBeLessThanOrEqual(tight);
    expect(tightUpstream.spentMicroUsd).toBeGreaterThanOrEqual(tight * 0.97);
    const read = await budgets();
    expect(read).toHaveLength(3);
    for (const { limit_micro_usd: limit, spent_micro_usd: spent, reserved_micro_usd: reserved } of read)
      expect(spent + reserved).toBeLessThanOrEqual(limit);
    expect(await counted.reconciled(60_000)).toEqual(NO_DIFFERENCES);
    expect(Math.max(...(await budgets()).map((each) => each.spent_micro_usd))).toBe(tightUpstream.spentMicroUsd);
  });
});
