import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, failureOf, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type NamespaceKeys, newNamespace } from "../harness/policies.ts";
import { openStream, type SlowUpstream, startSlowUpstream } from "../harness/streams.ts";

/** Tests of budgets and rate limits through three gateways and the stock client: enforcement and refusals. */

const HOLD_TTL_SECS = 8;
let node: TestNode;
let upstream: SlowUpstream;
let folder: string;

beforeAll(async () => {
  upstream = await startSlowUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-limits-test-"));
  const file = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  await writeFile(
    file,
    `providers: [{name: slow, protocol: openai, base_url: "${upstream.baseUrl}", models: [{id: slow, ${price}}]}]`,
  );
  const environment = { ROUTEPLANE_PROVIDERS: file, ROUTEPLANE_HOLD_TTL_SECS: `${HOLD_TTL_SECS}` };
  node = await startNode({ gateways: 3, environment });
}, 180_000);

afterAll(async () => {
  upstream?.finish();
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Request of 2 input and 2 output tokens of echo: 6 micro-USD. */
const COST = 6;
const BODY = chatBody("two words");
const budget = (requests: number) => ({
  budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: String(requests * COST) },
});
const rateLimit = (maxima: object) => ({ rateLimit: { windowSecs: 3_600, ...maxima } });

interface Effective {
  readonly budgets: readonly {
    readonly spent_micro_usd: number;
    readonly reserved_micro_usd: number;
    readonly remaining_micro_usd: number;
  }[];
  readonly rate_limits: readonly { readonly requests: number; readonly tokens: number; readonly concurrent: number }[];
}

const effectiveOf = (home: NamespaceKeys, keyId: string) =>
  home.cli<Effective>(home.root.token, "policy", "effective", "--principal-type", "api_key", "--principal-id", keyId);

interface LoggedRow {
  readonly id: string;
  readonly status: string;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly denied_by_policy_id: string | null;
  readonly denied_by_binding_id: string | null;
  readonly denied_rule: string | null;
  readonly shadow_denials: readonly object[];
}

/** Row of a request, once it is settled. */
const rowOf = (home: NamespaceKeys, requestId: string | null | undefined) =>
  eventually(async () => {
    const { data } = await home.cli<{ data: readonly LoggedRow[] }>(home.root.token, "requests");
    return data.find(({ id, status }) => id === requestId && status !== "pending");
  }, 60_000);

/** Status of one call, which is retried with backoff, as clients do, while the node is too busy to decide. */
async function decided(url: string, token: string): Promise<number> {
  for (let pauseMs = 500; ; pauseMs = Math.min(2 * pauseMs, 8_000)) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(BODY) });
    await response.body?.cancel();
    if (response.status !== 503) return response.status;
    await delay(pauseMs * (0.5 + Math.random()));
  }
}

describe("300 concurrent requests over three gateways", () => {
  it("overspend no budget of key, parent and namespace, and use at least 97 % of each", async () => {
    const home = await newNamespace(node, "crowd");
    const parent = await home.mint(home.root.token, "parent");
    const [left, right] = [await home.mint(parent.token, "left"), await home.mint(parent.token, "right")];
    for (const { id } of [left, right]) await home.bind(budget(100), id);
    await home.bind(budget(200), parent.id);
    await home.bind(budget(200));
    const burst = Array.from({ length: 300 }, (_, n) =>
      decided(node.urls[n % 3] ?? node.url, (n % 2 === 0 ? left : right).token),
    );
    const statuses = await Promise.all(burst);
    const count = (status: number) => statuses.filter((answered) => answered === status).length;
    expect(count(200) + count(402)).toBe(300);
    // A call that was abandoned during its decision may have caused the denial of another one.
    expect(count(200)).toBeGreaterThanOrEqual(0.97 * 200);
    expect(count(200)).toBeLessThanOrEqual(200);
    const settled = await eventually(async () => {
      const all = [...(await effectiveOf(home, left.id)).budgets, ...(await effectiveOf(home, right.id)).budgets];
      return all.every(({ reserved_micro_usd }) => reserved_micro_usd === 0) && all;
    }, 60_000);
    expect(settled).toHaveLength(6);
    for (const { spent_micro_usd: spent, remaining_micro_usd: left } of settled) {
      const limit = spent + left;
      expect([100 * COST, 200 * COST]).toContain(limit);
      expect(spent).toBeGreaterThanOrEqual(0.97 * limit);
    }
  }, 240_000);
});

describe("a budget", () => {
  it("is reported in a header of each answer, whole, streamed or refused: what is left of the tightest one", async () => {
    const home = await newNamespace(node, "told");
    const send = async (token: string, more?: object) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const body = JSON.stringify(chatBody("two words", "echo", { max_tokens: 2, ...more }));
      const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body });
      await response.text();
      const left = response.headers.get("x-routeplane-budget-remaining-micro-usd");
      return {
        status: response.status,
        left: left === null ? null : Number(left),
        id: response.headers.get("x-request-id"),
      };
    };
    const unlimited = await send(home.root.token);
    expect(unlimited).toMatchObject({ status: 200, left: null });
    const key = await home.mint(home.root.token, "told");
    await home.bind({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1000000" } });
    await home.bind({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "500" } }, key.id);
    const whole = await send(key.token);
    const { reserved_micro_usd: bound } = await rowOf(home, whole.id);
    expect(whole).toMatchObject({ status: 200, left: 500 - bound });
    const streamed = await send(key.token, { stream: true });
    expect(streamed.status).toBe(200);
    expect(streamed.left).toBeLessThanOrEqual(500 - COST - bound);
    expect(streamed.left).toBeGreaterThanOrEqual(500 - 3 * bound);
    const one = await home.bind({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1" } }, key.id);
    const refused = await eventually(async () => {
      const answer = await send(key.token);
      return answer.status === 402 && answer;
    }, 10_000);
    expect(refused.left).toBe(1);
    await rowOf(home, refused.id);
    const read = <T>(command: string) => home.cli<T>(home.root.token, "request", command, refused.id ?? "");
    const { denial } = await read<{ denial: unknown }>("get");
    expect(denial).toMatchObject({ unit: "micro_usd", limit: 1, remaining: 1, retry_at: null });
    expect(await read("explain")).toMatchObject({
      key_name: "told",
      status: "denied",
      rule: "budget",
      policy: { id: one.policyId, name: expect.stringMatching(/^policy 0/) as string },
      binding: { id: one.bindingId, principal_type: "api_key", principal_id: key.id, principal_name: "told" },
      denial,
    });
  }, 120_000);
});

describe("a rate limit on requests", () => {
  it("is reported to the stock client with the rule and Retry-After, after which it is served", async () => {
    const home = await newNamespace(node, "requests");
    const { policyId, bindingId } = await home.bind({ rateLimit: { windowSecs: 3, maxRequests: "1" } });
    const impatient = openAiClient(node, home.root.token);
    const first = await impatient.chat.completions.create(BODY).withResponse();
    const header = (name: string) => first.response.headers.get(`x-ratelimit-${name}`);
    expect([header("limit-requests"), header("remaining-requests")]).toEqual(["1", "0"]);
    expect(header("reset-requests")).toMatch(/^(\d+ms|[0-3](\.\d+)?s)$/);
    const error = await failureOf(impatient.chat.completions.create(BODY));
    expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "requests" });
    expect(error.error).toMatchObject({
      policy_id: policyId,
      binding_id: bindingId,
      principal: { type: "namespace", id: home.namespaceId },
      rule: "rate_limit.max_requests",
    });
    const { retry_at: retryAt } = error.error as { retry_at: string };
    expect(error.headers?.get("retry-after")).toMatch(/^[1-4]$/);
    expect(error.headers?.get("x-should-retry")).toBeNull();
    // The stock client waits for Retry-After once.
    const patient = new OpenAI({ apiKey: home.root.token, baseURL: `${node.urls[1]}/v1`, maxRetries: 1 });
    expect((await patient.chat.completions.create(BODY)).choices).toHaveLength(1);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(retryAt));
    expect(await rowOf(home, error.requestID)).toMatchObject({
      status: "denied",
      cost_micro_usd: 0,
      denied_by_policy_id: policyId,
      denied_by_binding_id: bindingId,
      denied_rule: "rate_limit.max_requests",
    });
  }, 120_000);

  it("holds over three gateways, is not used by denied requests, and in shadow mode only reports", async () => {
    const home = await newNamespace(node, "crowded");
    const { bindingId } = await home.bind(rateLimit({ maxRequests: "30" }));
    const shadow = await home.bind(rateLimit({ maxRequests: "1" }), home.root.id, "SHADOW");
    const small = await home.mint(home.root.token, "small");
    const tiny = await home.bind({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1" } }, small.id);
    const broke = await Promise.all(Array.from({ length: 20 }, (_, n) => decided(node.urls[n % 3] ?? "", small.token)));
    expect(new Set(broke)).toEqual(new Set([402]));
    const statuses = await Promise.all(
      Array.from({ length: 60 }, (_, n) => decided(node.urls[n % 3] ?? "", home.root.token)),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(30);
    expect(statuses.filter((status) => status === 429)).toHaveLength(30);
    const data = await eventually(async () => {
      const log = await home.cli<{ data: readonly LoggedRow[] }>(home.root.token, "requests", "--limit", "100");
      return log.data.length === 80 && log.data;
    }, 60_000);
    const denied = data.filter(({ status }) => status === "denied");
    expect(denied).toHaveLength(50);
    expect(new Set(denied.map(({ denied_by_binding_id }) => denied_by_binding_id))).toEqual(
      new Set([bindingId, tiny.bindingId]),
    );
    const shadowed = data.filter(({ shadow_denials }) => shadow_denials.length > 0);
    expect(shadowed.length).toBeGreaterThan(0);
    const expected = { policy_id: shadow.policyId, binding_id: shadow.bindingId, rule: "rate_limit.max_requests" };
    for (const { shadow_denials } of shadowed) expect(shadow_denials).toEqual([expected]);
  }, 120_000);
});

describe("a rate limit on tokens", () => {
  it("counts used tokens, lowers the output bound, and refuses what can never fit without Retry-After", async () => {
    const home = await newNamespace(node, "tokens");
    await home.bind(rateLimit({ maxTokens: "100" }));
    const client = openAiClient(node, home.root.token);
    const answer = await client.chat.completions.create({ ...BODY, max_tokens: 50_000 }).withResponse();
    expect(answer.response.headers.get("x-ratelimit-limit-tokens")).toBe("100");
    const left = async () => (await effectiveOf(home, home.root.id)).rate_limits[0]?.tokens;
    await eventually(async () => (await left()) === 4, 30_000);
    const error = await failureOf(client.chat.completions.create(chatBody("x ".repeat(200))));
    expect(error).toMatchObject({ status: 429, type: "tokens" });
    expect(error.error).toMatchObject({ rule: "rate_limit.max_tokens" });
    expect(error.error).not.toHaveProperty("retry_at");
    expect([error.headers?.get("retry-after"), error.headers?.get("x-should-retry")]).toEqual([null, "false"]);
    expect(await left()).toBe(4);
  }, 120_000);
});

describe("a gateway that is killed with SIGKILL", () => {
  it("leaves its slot and reservation until the reservation expires, and no longer", async () => {
    const home = await newNamespace(node, "killed");
    await home.bind(rateLimit({ maxConcurrent: "1" }));
    await home.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "100000" } });
    const admittedAt = Date.now();
    const stream = await openStream(node.urls[2] ?? "", home.root.token);
    const failure = stream.rest().catch((error: unknown) => error);
    const busy = await failureOf(openAiClient(node, home.root.token).chat.completions.create(BODY));
    expect(busy).toMatchObject({ status: 429 });
    expect(busy.error).toMatchObject({ rule: "rate_limit.max_concurrent" });
    process.kill((await node.pid("gateway-3")) ?? 0, "SIGKILL");
    expect(await failure).toBeInstanceOf(Error);
    expect(await decided(node.url, home.root.token)).toBe(429);
    expect(Date.now() - admittedAt).toBeLessThan(HOLD_TTL_SECS * 1_000);
    await eventually(async () => (await decided(node.url, home.root.token)) === 200, HOLD_TTL_SECS * 1_000 + 5_000);
    const { budgets, rate_limits: limits } = await eventually(async () => {
      const effective = await effectiveOf(home, home.root.id);
      return effective.budgets[0]?.reserved_micro_usd === 0 && effective;
    }, 60_000);
    expect(limits[0]?.concurrent).toBe(0);
    // The cost is unknown, so the reservation was charged: 10 output tokens at 5 and its bytes at 3.
    expect(budgets[0]?.spent_micro_usd).toBeGreaterThan(10 * 5 + COST);
  }, 120_000);
});
