import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type NamespaceKeys, newNamespace } from "../harness/policies.ts";

/** Tests of `GET /v1/key` and `cloud limits` on a node: a key reads itself and the limits that apply to it. */

let node: TestNode;

beforeAll(async () => {
  node = await startNode({ gateways: 2 });
}, 120_000);
afterAll(() => node?.remove());

/** Request of 2 input and 2 output tokens of echo: 6 micro-USD. */
const COST = 6;
const TOKENS = 4;

interface Limit {
  readonly policy_id: string;
  readonly policy_name: string;
  readonly binding_id: string;
  readonly unit: string;
  readonly limit: number;
  readonly used: number;
  readonly reserved: number;
  readonly leased: number;
  readonly left: number;
  readonly resets_at: string | null;
}

interface OwnKey {
  readonly id: string;
  readonly limits: readonly Limit[];
}

const read = (token: string, init: RequestInit = {}, url = node.url): Promise<Response> =>
  fetch(`${url}/v1/key`, { headers: { authorization: `Bearer ${token}` }, ...init });

async function ownKey(token: string, url = node.url): Promise<OwnKey> {
  const response = await read(token, {}, url);
  expect(response.status).toBe(200);
  return (await response.json()) as OwnKey;
}

/** Mints a sub-key with these scopes, options included. */
function mint(home: NamespaceKeys, parentToken: string, name: string, scope: string, ...options: readonly string[]) {
  const argv = ["keys", "mint", "--name", name, "--scope", scope, ...options];
  return home.cli<{ id: string; token: string; prefix: string; created_at: string }>(parentToken, ...argv);
}

async function call(token: string, url = node.url): Promise<void> {
  await openAiClient({ url }, token).chat.completions.create(chatBody("two words"));
}

describe("GET /v1/key", () => {
  it("is the key of the caller, with any scopes, in either header and at every gateway", async () => {
    const home = await newNamespace(node, "self");
    const expiresAt = "2099-01-01T00:00:00.000Z";
    const options = ["--expires-at", expiresAt];
    const agent = await mint(home, home.root.token, "agent", "usage:read", ...options);
    const { id, prefix, created_at } = agent;
    const expected = {
      id,
      name: "agent",
      prefix,
      scopes: ["usage:read"],
      parent_id: home.root.id,
      namespace_id: home.namespaceId,
      created_at,
      expires_at: expiresAt,
      limits: [],
    };
    for (const url of node.urls) expect(await ownKey(agent.token, url)).toEqual(expected);
    const response = await read(agent.token, { headers: { "x-api-key": agent.token } });
    expect(await response.json()).toEqual(expected);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await ownKey(home.root.token)).toMatchObject({ id: home.root.id, parent_id: null, expires_at: null });
  });

  it("has exact numbers of every limit after requests through two gateways, and so has the command line", async () => {
    const home = await newNamespace(node, "exact");
    const agent = await mint(home, home.root.token, "agent", "inference:invoke");
    const spec = {
      preset: {
        budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1000" },
        rateLimit: { windowSecs: 3_600, maxRequests: "50", maxTokens: "100000", maxConcurrent: "10" },
      },
    };
    const { policyId, bindingId } = await home.bind(spec, agent.id);
    for (const url of [...node.urls, ...node.urls, node.url]) await call(agent.token, url);
    const limits = await eventually(async () => {
      const all = (await ownKey(agent.token)).limits;
      const [money, , tokens] = all;
      return money?.used === 5 * COST && tokens?.used === 5 * TOKENS && all;
    }, 30_000);
    const source = { policy_id: policyId, binding_id: bindingId, principal_type: "api_key", principal_id: agent.id };
    expect(limits).toMatchObject([
      { ...source, kind: "budget", unit: "micro_usd", window: "day", window_secs: 86_400, limit: 1_000 },
      { ...source, kind: "rate_limit", unit: "requests", window: null, window_secs: 3_600, used: 5, left: 45 },
      { ...source, unit: "tokens", used: 5 * TOKENS, left: 100_000 - 5 * TOKENS },
      { ...source, unit: "concurrent", window_secs: null, limit: 10, used: 0, left: 10, resets_at: null },
    ]);
    for (const { limit, used, reserved, leased, left } of limits) {
      expect(used + reserved + left).toBe(limit);
      expect(leased).toBe(reserved);
    }
    const [money] = limits;
    const resetsInMs = Date.parse(money?.resets_at ?? "") - Date.now();
    expect(resetsInMs).toBeGreaterThan(86_000_000);
    expect(resetsInMs).toBeLessThanOrEqual(86_400_000 * 1.01);
    const { data } = await home.cli<{ data: readonly Limit[] }>(agent.token, "limits");
    expect(data.map(({ unit, used }) => [unit, used])).toEqual(limits.map(({ unit, used }) => [unit, used]));
  });

  it("of a sub-key has the limits of its namespace and parent, and nothing of a sibling", async () => {
    const home = await newNamespace(node, "family");
    const parent = await home.mint(home.root.token, "parent");
    const [left, right] = [await home.mint(parent.token, "left"), await home.mint(parent.token, "right")];
    const budget = { budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "1000" } };
    const [onAll, onParent] = [await home.bind(budget), await home.bind(budget, parent.id, "SHADOW")];
    const secret = await home.bind(budget, right.id);
    await call(right.token);
    const limits = await eventually(async () => {
      const all = (await ownKey(left.token)).limits;
      return all.every(({ used }) => used === COST) && all;
    }, 30_000);
    expect(limits).toMatchObject([
      { binding_id: onAll.bindingId, principal_type: "namespace", principal_id: home.namespaceId, mode: "enforce" },
      { binding_id: onParent.bindingId, principal_type: "api_key", principal_id: parent.id, mode: "shadow" },
    ]);
    const text = await (await read(left.token)).text();
    for (const foreign of [right.id, secret.bindingId, secret.policyId]) expect(text).not.toContain(foreign);
  });

  it("is refused to a revoked key and to the key below it while both are cached, at every gateway", async () => {
    const home = await newNamespace(node, "revoked");
    const parent = await home.mint(home.root.token, "parent");
    const child = await home.mint(parent.token, "child");
    for (const url of node.urls) for (const { token } of [parent, child]) await ownKey(token, url);
    await home.cli(home.root.token, "keys", "revoke", parent.id, "--yes");
    for (const url of node.urls) {
      for (const { token } of [parent, child]) {
        const refused = await eventually(async () => {
          const response = await read(token, {}, url);
          return response.status === 401 && response;
        }, 5_000);
        expect(await refused.json()).toMatchObject({
          error: { code: "invalid_api_key", type: "invalid_request_error" },
        });
      }
    }
  });

  it("is refused without a valid key, and to an operator by name, in the OpenAI envelope", async () => {
    for (const token of ["", "rp_live_unknown", "rps_x"]) {
      const response = await read(token);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key", param: null } });
    }
    const home = await newNamespace(node, "operator");
    const both = await read(home.root.token, {
      headers: { authorization: `Bearer ${home.root.token}`, "x-api-key": await node.apiKey() },
    });
    expect(both.status).toBe(401);
    await both.text();
    const operator = await read(await node.operatorKey());
    expect(operator.status).toBe(403);
    const { error } = (await operator.json()) as { error: { code: string; message: string } };
    expect(error).toMatchObject({
      code: "insufficient_scope",
      message: expect.stringContaining("operator credential"),
    });
  });

  it("answers HEAD without a body, and other methods with 405 and the allowed ones", async () => {
    const token = await node.apiKey();
    const head = await read(token, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const post = await read(token, { method: "POST", body: "{}" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    await post.text();
  });

  it("is refused while policy is suspended, with the name of the service that does not answer, and served again afterwards", async () => {
    const token = await node.apiKey();
    await ownKey(token);
    await node.whileSuspended("policy", async () => {
      const response = await read(token);
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({ error: { code: "dependency_unavailable", dependency: "policy" } });
    });
    await eventually(async () => (await read(token)).status === 200, 15_000);
  });
});
