import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, runCliProcess, startNode, type TestNode } from "../harness/index.ts";
import { newNamespace, type NamespaceKeys } from "../harness/policies.ts";
import { type Cli, cliAs } from "./json-cli.ts";
import { type McpClient, MINT, mint, type MintedKey, startMcp } from "./mcp-client.ts";

/** Tests of the tools of `routeplane mcp` that write, and of its process. */

let node: TestNode;
let own: NamespaceKeys;
let root: Cli;
let agent: MintedKey;
let writing: McpClient;
beforeAll(async () => {
  node = await startNode();
  own = await newNamespace(node, "agents");
  root = cliAs(node, own.root.token);
  agent = await mint(root, "agent", "inference:* keys:* policy:* usage:read", "--limit-usd", "2", "--window", "total");
  writing = await startMcp(node, agent.token, { args: ["--allow-writes"] });
});
afterAll(async () => {
  await writing?.[Symbol.asyncDispose]();
  await node?.remove();
});

describe("mint_key", () => {
  it("mints a sub-key with limits, whose token is only in the result", async () => {
    const limits = { max_requests: "60/1m", models: ["echo"], limit_usd: 0.000004, expires_in: "30m" };
    const key = await writing.value<MintedKey & { expires_at: string }>("mint_key", { ...MINT, ...limits });
    expect(key).toMatchObject({ name: "sub", parent_id: agent.id, token: expect.stringMatching(/^rp_/) });
    expect(Date.parse(key.expires_at)).toBeLessThanOrEqual(Date.now() + 1_800_000);
    const { data } = await cliAs(node, key.token).json<{ data: readonly unknown[] }>("cloud", "limits");
    expect(data).toContainEqual(
      expect.objectContaining({ principal_id: key.id, unit: "micro_usd", window: "total", limit: 4 }),
    );
    expect(data).toContainEqual(expect.objectContaining({ principal_id: key.id, unit: "requests", limit: 60 }));
    expect(JSON.stringify(await writing.value("list_requests"))).not.toContain(key.token);
  });

  it("mints a budget of a calendar window in its time zone", async () => {
    const window = { window: "calendar_month", time_zone: "Europe/Berlin" };
    const key = await writing.value<MintedKey>("mint_key", { ...MINT, ...window });
    const { data } = await cliAs(node, key.token).json<{ data: readonly unknown[] }>("cloud", "limits");
    expect(data).toContainEqual(expect.objectContaining({ principal_id: key.id, ...window }));
  });

  it.each([
    ["a time zone beside a window that has none", { time_zone: "UTC" }, "COMMAND_LINE_INVALID", "--time-zone"],
    ["no budget", { limit_usd: undefined }, "ARGUMENT_INVALID", "limit_usd"],
    ["no window", { window: undefined }, "ARGUMENT_INVALID", "window"],
    ["no expiry", { expires_in: undefined }, "ARGUMENT_INVALID", "expires_in"],
    ["a budget of nothing", { limit_usd: 0 }, "ARGUMENT_INVALID", "limit_usd"],
    ["a negative budget", { limit_usd: -1 }, "ARGUMENT_INVALID", "limit_usd"],
    ["a budget below a micro-USD", { limit_usd: 0.000_000_5 }, "ARGUMENT_INVALID", "limit_usd"],
    ["an absurd budget", { limit_usd: 1e300 }, "ARGUMENT_INVALID", "limit_usd"],
    ["an expiry in words", { expires_in: "tomorrow" }, "ARGUMENT_INVALID", "expires_in"],
    ["an expiry of nothing", { expires_in: "0s" }, "COMMAND_LINE_INVALID", "--expires-in"],
    ["no scope", { scopes: [] }, "ARGUMENT_INVALID", "scopes"],
    ["several scopes in one", { scopes: ["inference:invoke keys:write"] }, "ARGUMENT_INVALID", "scopes"],
    ["an option for a scope", { scopes: ["--namespace=default"] }, "FIELD_INVALID", "unknown scope"],
    ["no model", { models: [] }, "ARGUMENT_INVALID", "models"],
    ["a blank name", { name: " " }, "COMMAND_LINE_INVALID", "--name"],
    ["a namespace", { namespace: "default" }, "ARGUMENT_INVALID", "namespace"],
    ["a scope that the key lacks", { scopes: ["audit:read"] }, "SCOPE_EXCEEDS_PARENT", "audit:read"],
    ["a budget above that of the key", { limit_usd: 2.000001 }, "LIMIT_EXCEEDS_PARENT", ""],
  ])("refuses %s", async (_, change, reason, message) => {
    const count = async () => (await root.json<{ data: readonly unknown[] }>("cloud", "keys", "list")).data.length;
    const before = await count();
    const error = await writing.error("mint_key", { ...MINT, ...change });
    expect(error).toMatchObject({ reason, message: expect.stringContaining(message) });
    expect(await count()).toBe(before);
  });
});

describe("revoke_key", () => {
  it("revokes keys below the key in use, by id and by name", async () => {
    const asAgent = cliAs(node, agent.token);
    const child = await mint(asAgent, "child", "inference:invoke keys:*");
    const grandchild = await mint(cliAs(node, child.token), "grandchild", "inference:invoke");
    expect(await writing.value("revoke_key", { key: grandchild.id, reason: "done" })).toMatchObject({
      id: grandchild.id,
      revoked_at: expect.any(String),
      revoked_reason: "done",
    });
    await writing.value("revoke_key", { key: "child" });
    expect((await cliAs(node, child.token).error("cloud", "whoami")).reason).toBe("CREDENTIAL_REVOKED");
  });

  it("refuses the key in use, the keys above it and beside it, also for a root key", async () => {
    const sibling = await mint(root, "sibling", "inference:invoke");
    const other = await newNamespace(node, "others");
    await using asRoot = await startMcp(node, own.root.token, { args: ["--allow-writes"] });
    const cases = [
      [writing, agent.id, "KEY_OUT_OF_LINEAGE"],
      [writing, own.root.id, "KEY_OUT_OF_LINEAGE"],
      [writing, sibling.id, "KEY_OUT_OF_LINEAGE"],
      [writing, other.root.id, "RESOURCE_NOT_FOUND"],
      [asRoot, own.root.id, "KEY_OUT_OF_LINEAGE"],
    ] as const;
    for (const [client, key, reason] of cases) {
      expect((await client.error("revoke_key", { key })).reason).toBe(reason);
    }
    const { data } = await root.json<{ data: readonly MintedKey[] }>("cloud", "keys", "list");
    const kept = data.filter(({ id }) => [agent.id, own.root.id, sibling.id].includes(id));
    expect(kept.map(({ revoked_at }) => revoked_at)).toEqual([null, null, null]);
  });
});

describe("bind_policy", () => {
  it("binds a policy by its name to a key, which it limits from then on", async () => {
    const create = ["--name", "cap", "--window", "day", "--limit-micro-usd", "1"];
    const policy = await root.json<{ id: string }>("cloud", "budget", "create", ...create);
    const child = await mint(cliAs(node, agent.token), "bound", "inference:invoke");
    const input = { policy: "cap", principal_type: "api_key", principal_id: "bound" };
    expect(await writing.value("bind_policy", { ...input, shadow: true })).toMatchObject({
      policy_id: policy.id,
      principal_id: child.id,
      mode: "shadow",
    });
    expect((await writing.error("bind_policy", input)).reason).toBe("BINDING_EXISTS");
  });

  it("obeys the rules of the node", async () => {
    const input = { policy: "cap", principal_type: "api_key", principal_id: own.root.id };
    expect((await writing.error("bind_policy", input)).reason).toBe("PRINCIPAL_OUT_OF_LINEAGE");
  });
});

const message = (id: number, method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });
const INITIALIZE = message(1, "initialize", {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "raw", version: "1" },
});
const toolCall = (id: number, name: string, input: object = {}): string =>
  message(id, "tools/call", { name, arguments: input });

/** Runs `mcp` with messages on stdin, which is closed after them. */
async function serve(messages: readonly string[], args: readonly string[] = []) {
  const environment = { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: agent.token };
  const input = messages.map((each) => `${each}\n`).join("");
  const { exitCode, stdout, stderr } = await runCliProcess("/nonexistent", ["mcp", ...args], { environment, input });
  const answers = stdout.split("\n").filter((line) => line !== "");
  return { exitCode, stderr, answers: answers.map((line) => JSON.parse(line) as RawAnswer) };
}

interface RawAnswer {
  readonly id: number;
  readonly result?: { readonly isError?: boolean; readonly structuredContent?: Record<string, unknown> };
}

describe("the process", () => {
  it("exits with 0 when stdin is closed, after the calls that it has begun: the token of a mint is not lost", async () => {
    const { exitCode, stderr, answers } = await serve([INITIALIZE, toolCall(2, "mint_key", MINT)], ["--allow-writes"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(answers.map(({ id }) => id)).toEqual([1, 2]);
    expect(answers[1]?.result?.structuredContent).toMatchObject({ token: expect.stringMatching(/^rp_/) });
  });

  it("writes nothing but the protocol to stdout, and skips input that does not belong to it", async () => {
    const deep = toolCall(3, "whoami").replace("{}", `${"[".repeat(100_000)}${"]".repeat(100_000)}`);
    const { exitCode, stderr, answers } = await serve([INITIALIZE, "junk", '{"a":1}', deep, toolCall(4, "whoami")]);
    expect(exitCode).toBe(0);
    expect(new Set(answers.map(({ id }) => id))).toEqual(new Set([1, 3, 4]));
    expect(answers.find(({ id }) => id === 3)?.result).toBeUndefined();
    expect(stderr.split("\n").filter((line) => line.startsWith("Skipped a message"))).toHaveLength(2);
  });

  it("exits with 1 on an endless message", async () => {
    const { exitCode, stderr } = await serve([INITIALIZE, toolCall(2, "get_request", { id: "x".repeat(1 << 21) })]);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("more than 1 MiB")]);
  });

  it("answers every call of a flood, and refuses those beyond its queue", async () => {
    const calls = Array.from({ length: 300 }, (_, index) => toolCall(index + 2, "whoami"));
    const { answers } = await serve([INITIALIZE, ...calls]);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(301);
    const refused = answers.filter(({ result }) => result?.isError === true);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(300 - 104);
    for (const { result } of refused) {
      expect(result?.structuredContent).toMatchObject({ error: { reason: "TOO_MANY_CALLS" } });
    }
  });

  it("is ended by a signal at once", async () => {
    const client = await startMcp(node, agent.token);
    process.kill(client.pid, "SIGTERM");
    await eventually(() => !isAlive(client.pid), 5_000);
    await expect(client.call("whoami")).rejects.toThrow();
  });
});
