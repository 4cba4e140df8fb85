import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliProcess, startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of the reference session of the product, on the real command in its order: each step builds on those before it. */

interface Key {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly parent_id: string | null;
  readonly revoked_at: string | null;
}
interface Minted extends Key {
  readonly token: string;
}
interface Policy {
  readonly id: string;
  readonly name: string;
}
interface Usage {
  readonly request_count: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spend_micro_usd: number;
}
interface Request {
  readonly id: string;
  readonly key_id: string;
  readonly status: string;
  readonly model: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
  readonly streamed: boolean;
}

const SEED_SCOPES = "inference:invoke keys:read policy:read usage:read";
const TOKEN = /rpo?_live_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}/;

let node: TestNode;
/** CLI with the login that the first start saved. */
let cli: Cli;
/** Ids and tokens that the session has created so far. */
const created = {} as { namespaceId: string; agent: Minted; budget: Policy };

beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node, runCliProcess);
}, 120_000);

afterAll(async () => {
  await node?.remove();
});

function chat(token: string, body: object = {}): Promise<Response> {
  return fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "Hello" }], ...body }),
  });
}

const mint = (as: Cli, name: string, scope: string, ...more: string[]): Promise<Minted> =>
  as.json<Minted>("cloud", "keys", "mint", "--name", name, "--scope", scope, ...more);

describe("the reference session", () => {
  it("routeplane cloud status: the signed-in account and its bound namespace", async () => {
    const { exitCode, stdout } = await cli("cloud", "status");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^account +default \(acc_/m);
    expect(stdout).toMatch(/^namespace +default \(ns_/m);
    expect(stdout).not.toMatch(TOKEN);
    const status = await cli.json<{ healthy: boolean; url: string; namespace: { id: string } }>("cloud", "status");
    expect(status).toMatchObject({
      healthy: true,
      url: node.url,
      namespace: { name: "default" },
      key: { name: "root" },
    });
    created.namespaceId = status.namespace.id;
  });

  it("routeplane cloud namespace list: all namespaces, the active one marked", async () => {
    for (const name of ["production", "staging"]) {
      expect(await cli("cloud", "namespace", "create", name)).toMatchObject({ exitCode: 0 });
    }
    const { stdout } = await cli("cloud", "namespace", "list");
    expect(stdout.trimEnd().split("\n")).toEqual([
      `${created.namespaceId} default (active)`,
      expect.stringMatching(/^ns_\S+ production$/),
      expect.stringMatching(/^ns_\S+ staging$/),
    ]);
  });

  it("routeplane cloud keys mint: a sub-key in the same namespace, its token shown once", async () => {
    const argv = ["cloud", "keys", "mint", "--name", "my-agent", "--scope", SEED_SCOPES];
    const { exitCode, stdout, stderr } = await cli(...argv);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(TOKEN);
    expect(stderr).toContain("shown once");
    expect(stderr).not.toMatch(TOKEN);
    created.agent = await cli.json<Minted>(...argv);
    expect(created.agent.scopes.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(SEED_SCOPES.split(" "));
    const agent = cliAs(node, created.agent.token, runCliProcess);
    expect(await agent.json("cloud", "whoami")).toMatchObject({
      namespace: { id: created.namespaceId },
      key: { id: created.agent.id },
    });
  });

  it("routeplane cloud keys list: the minted keys, without a token", async () => {
    const text = await cli("cloud", "keys", "list");
    expect(text.stdout).toContain("my-agent");
    expect(text.stdout).not.toMatch(TOKEN);
    const { data, next_page_token } = await cli.json<List<Key>>("cloud", "keys", "list");
    const root = data.find(({ parent_id }) => parent_id === null);
    expect(data.filter(({ parent_id }) => parent_id === root?.id).map(({ name }) => name)).toEqual([
      "my-agent",
      "my-agent",
    ]);
    expect(next_page_token).toBeNull();
    expect(await cli.json("cloud", "keys", "get", created.agent.id)).toMatchObject({
      id: created.agent.id,
      name: "my-agent",
    });
  });

  it("routeplane cloud budget create, and policy list", async () => {
    const argv = ["--name", "daily-cap", "--window", "day", "--limit-micro-usd", "5000000"];
    created.budget = await cli.json<Policy>("cloud", "budget", "create", ...argv);
    const shown = {
      id: expect.stringMatching(/^pol_/),
      name: "daily-cap",
      kind: "budget",
      spec: { window: "day", limit_micro_usd: 5_000_000 },
      disabled_at: null,
      etag: "v1",
    };
    expect(created.budget).toMatchObject({ ...shown, bindings: [] });
    expect(await cli.json("cloud", "policy", "list")).toMatchObject({ data: [shown], next_page_token: null });
    expect(await cli.json("cloud", "policy", "get", created.budget.id)).toMatchObject(shown);
    expect((await cli("cloud", "policy", "list", "-o", "table")).stdout).toContain("5000000 micro-USD ($5.00) per day");
  });

  it("routeplane cloud policy bind: to the key, and binding twice is one binding", async () => {
    const argv = [created.budget.id, "--principal-type", "api_key", "--principal-id", created.agent.id];
    const binding = await cli.json("cloud", "policy", "bind", ...argv);
    expect(binding).toMatchObject({
      id: expect.stringMatching(/^bnd_/),
      policy_id: created.budget.id,
      principal_type: "api_key",
      principal_id: created.agent.id,
      mode: "enforce",
    });
    expect(await cli.json("cloud", "policy", "bind", ...argv)).toEqual(binding);
    expect(await cli("cloud", "policy", "bind", ...argv)).toMatchObject({ exitCode: 0 });
  });

  it("the minted key calls a model, whole and streamed", async () => {
    const whole = await chat(created.agent.token);
    expect(whole.status).toBe(200);
    expect(await whole.json()).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant" } }],
    });
    const streamed = await chat(created.agent.token, { stream: true });
    expect(streamed.status).toBe(200);
    expect(await streamed.text()).toMatch(/data: \[DONE\]\s*$/);
  });

  it("routeplane cloud usage and requests: both calls within a second, in agreement", async () => {
    const agent = cliAs(node, created.agent.token, runCliProcess);
    const { data } = await eventually(async () => {
      const list = await agent.json<List<Request>>("cloud", "requests", "--limit", "25");
      return list.data.length === 2 && list.data.every(({ status }) => status === "succeeded") && list;
    });
    expect(data.map(({ streamed }) => streamed)).toEqual([true, false]);
    const whole = { key_id: created.agent.id, model: "echo", status: "succeeded" };
    expect(data).toEqual([expect.objectContaining(whole), expect.objectContaining(whole)]);
    const usage = await agent.json<Usage>("cloud", "usage");
    const sum = (field: "prompt_tokens" | "completion_tokens" | "cost_micro_usd"): number =>
      data.reduce((total, request) => total + request[field], 0);
    expect(usage).toMatchObject({
      request_count: 2,
      prompt_tokens: sum("prompt_tokens"),
      completion_tokens: sum("completion_tokens"),
      spend_micro_usd: sum("cost_micro_usd"),
    });
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    expect(usage.completion_tokens).toBeGreaterThan(0);
    expect((await cli("cloud", "requests", "--limit", "25")).stdout).toContain(data[0]?.id);
  });

  it("routeplane cloud usage --from --to: only the requests in between", async () => {
    const range = ["--from", "2026-05-01T00:00:00Z", "--to", "2026-06-01T00:00:00Z"];
    expect(await cli("cloud", "usage", ...range)).toMatchObject({ exitCode: 0 });
    expect(await cli.json("cloud", "usage", ...range)).toMatchObject({
      from: "2026-05-01T00:00:00.000Z",
      to: "2026-06-01T00:00:00.000Z",
      request_count: 0,
      prompt_tokens: 0,
      completion_tokens: 0,
      spend_micro_usd: 0,
    });
    const around = [Date.now() - 3_600_000, Date.now() + 3_600_000].map((time) => new Date(time).toISOString());
    const usage = await cli.json<Usage>("cloud", "usage", "--from", around[0] ?? "", "--to", around[1] ?? "");
    expect(usage.request_count).toBe(2);
  });

  it("routeplane cloud requests --limit: pages without gaps", async () => {
    const first = await cli.json<List<Request>>("cloud", "requests", "--limit", "1");
    expect(first.next_page_token).not.toBeNull();
    const second = await cli.json<List<Request>>(
      "cloud",
      "requests",
      "--limit",
      "1",
      "--page-token",
      first.next_page_token ?? "",
    );
    expect([...first.data, ...second.data].map(({ streamed }) => streamed)).toEqual([true, false]);
  });

  it("routeplane cloud keys revoke: the key and its sub-keys are refused everywhere", async () => {
    const parent = await mint(cli, "parent", "keys:write keys:read inference:invoke usage:read");
    const child = await mint(cliAs(node, parent.token, runCliProcess), "child", "inference:invoke");
    expect((await chat(child.token)).status).toBe(200);
    expect(await cli.json("cloud", "keys", "revoke", parent.id)).toMatchObject({
      id: parent.id,
      revoked_at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    expect(await cli("cloud", "keys", "revoke", parent.id)).toMatchObject({ exitCode: 0 });
    for (const { token } of [parent, child]) {
      const revoked = cliAs(node, token, runCliProcess);
      const error = await revoked.error("cloud", "whoami");
      expect(error).toMatchObject({ exitCode: 4, code: "unauthenticated", reason: "CREDENTIAL_REVOKED" });
      await eventually(async () => (await chat(token)).status === 401, 6_000);
    }
  });
});
