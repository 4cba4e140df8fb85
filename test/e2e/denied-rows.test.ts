import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, cliJson, mintKey } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of denied requests beyond the rows per minute: counted in usage, without a row in the request log. */

const MAX_ROWS_OF_KEY = 60;
const REQUESTS = 500;
const AT_ONCE = 20;

interface Usage {
  readonly request_count: number;
  readonly denied_count: number;
  readonly denied_unlogged_count: number;
  readonly groups?: readonly (Usage & { readonly key_id?: string; readonly status?: string })[];
}

let node: TestNode;

beforeAll(async () => {
  node = await startNode({});
}, 120_000);

afterAll(async () => {
  await node?.remove();
});

/** Key of which every request is denied, by a guardrail or by the policy service. */
async function deniedKey(name: string, kind: string, spec: object): Promise<{ id: string; token: string }> {
  const key = await mintKey(node, name);
  const file = join(node.home, `${key.id}.json`);
  await writeFile(file, JSON.stringify(spec));
  const args = ["--name", name, "--kind", kind, "--spec", file];
  const policy = await cliJson<{ id: string }>(node, "cloud", "policy", "create", ...args);
  await cliJson(node, "cloud", "policy", "bind", policy.id, "--principal-type", "api_key", "--principal-id", key.id);
  return key;
}

/** Sends requests. @returns the number that was refused with this status */
async function send(token: string, count: number, status: number): Promise<number> {
  let remaining = count;
  let refused = 0;
  const worker = async (): Promise<void> => {
    while (remaining-- > 0) {
      const response = await fetch(`${node.url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(chatBody("hello")),
      });
      await response.arrayBuffer();
      if (response.status === status) refused++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return refused;
}

const usageOf = (key: string): Promise<Usage> => cliJson<Usage>(node, "cloud", "usage", "--key", key);

async function rowsOf(key: string): Promise<number> {
  const args = ["cloud", "requests", "--key", key, "--limit", "1000"];
  return (await cliJson<{ data: readonly object[] }>(node, ...args)).data.length;
}

describe.each([
  ["a guardrail", 403, "guardrail", { model_deny: ["echo"] }],
  ["a budget", 402, "budget", { window: "total", limit_micro_usd: 1 }],
] as const)("requests that %s denies", (denier, status, kind, spec) => {
  it("have a bounded number of rows, and are counted exactly", async () => {
    const { id, token } = await deniedKey(`by ${denier}`, kind, spec);
    // The policy is in force a moment after it is bound.
    await eventually(async () => (await send(token, 1, status)) === 1);
    const before = await eventually<Usage | false>(async () => {
      const usage = await usageOf(id);
      return usage.denied_count > 0 && usage;
    });
    expect(await send(token, REQUESTS, status)).toBe(REQUESTS);
    const usage = await eventually<Usage | false>(async () => {
      const usage = await usageOf(id);
      return usage.denied_count >= before.denied_count + REQUESTS && usage;
    }, 30_000);
    const rows = await rowsOf(id);
    // A run over several minutes has the rows of each.
    expect(rows).toBeGreaterThanOrEqual(MAX_ROWS_OF_KEY);
    expect(rows).toBeLessThan(4 * MAX_ROWS_OF_KEY);
    expect(usage).toMatchObject({
      request_count: before.request_count,
      denied_count: before.denied_count + REQUESTS,
      denied_unlogged_count: usage.denied_count - (rows - usage.request_count),
    });
    const { groups } = await cliJson<Usage>(node, "cloud", "usage", "--key", id, "--group-by", "key,status");
    expect(groups?.filter((group) => group.status === "denied")).toMatchObject([
      { key_id: id, request_count: 0, denied_count: usage.denied_count },
    ]);
  });
});

it("a gateway sends its counts before it stops", async () => {
  const { id, token } = await deniedKey("stopped", "guardrail", { model_deny: ["echo"] });
  await eventually(async () => (await send(token, 1, 403)) === 1);
  expect(await send(token, 200, 403)).toBe(200);
  const before = await usageOf(id);
  await node.stop();
  node = await startNode({ home: node.home });
  const usage = await eventually<Usage | false>(async () => {
    const usage = await usageOf(id);
    return usage.denied_count >= 201 && usage;
  }, 30_000);
  expect(usage.denied_unlogged_count).toBeGreaterThan(0);
  expect(before.request_count).toBe(usage.request_count);
});

it("a killed gateway loses at most its last counts, and repeats none", async () => {
  const spec = { window: "total", limit_micro_usd: 1 };
  const { id, token } = await deniedKey("killed", "budget", spec);
  await eventually(async () => (await send(token, 1, 402)) === 1);
  expect(await send(token, 200, 402)).toBe(200);
  await node.kill("gateway");
  await node.healthy();
  expect(await send(token, 1, 402)).toBe(1);
  const usage = await eventually<Usage | false>(async () => {
    const usage = await usageOf(id);
    return usage.denied_count > MAX_ROWS_OF_KEY && usage;
  });
  // The first one may have been served before the policy was in force.
  expect(usage.denied_count).toBeLessThanOrEqual(202);
  expect(await rowsOf(id)).toBe(usage.request_count + usage.denied_count - usage.denied_unlogged_count);
});
