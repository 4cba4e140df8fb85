import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace, type NamespaceKeys } from "../harness/policies.ts";
import { type Cli, cliAs } from "./json-cli.ts";
import { type McpClient, MINT, mint, type MintedKey, startMcp } from "./mcp-client.ts";

/** Tests of the tools of `routeplane mcp` that read, and of its errors, with the client of the SDK. */

let node: TestNode;
let own: NamespaceKeys;
let root: Cli;
let agent: MintedKey;
/** Key that may call none of the node's models. */
let narrow: MintedKey;
let reading: McpClient;
let writing: McpClient;
/** Ids of a request that was answered and of one that was denied. */
let answered: string;
let denied: string;
beforeAll(async () => {
  node = await startNode();
  own = await newNamespace(node, "agents");
  root = cliAs(node, own.root.token);
  agent = await mint(root, "agent", "inference:* keys:* policy:* usage:read", "--limit-usd", "2", "--window", "total");
  [reading, writing] = await Promise.all([
    startMcp(node, agent.token),
    startMcp(node, agent.token, { args: ["--allow-writes"] }),
  ]);
  answered = await chat(agent.token, "echo");
  narrow = await mint(cliAs(node, agent.token), "narrow", "inference:invoke", "--models", "gpt-*");
  denied = await chat(narrow.token, "echo");
  const settled = async () => (await reading.value<{ status: string }>("get_request", { id: answered })).status;
  await eventually(async () => (await settled()) === "succeeded", 20_000);
  await eventually(async () => (await reading.call("get_request", { id: denied })).isError !== true, 20_000);
});
afterAll(async () => {
  await reading?.[Symbol.asyncDispose]();
  await writing?.[Symbol.asyncDispose]();
  await node?.remove();
});

/** Sends a chat request. @returns its id */
async function chat(token: string, model: string): Promise<string> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...chatBody("hello"), model }),
  });
  await response.arrayBuffer();
  return response.headers.get("x-request-id") ?? "";
}

const READING = [
  "whoami",
  "get_limits",
  "get_usage",
  "list_requests",
  "get_request",
  "explain_request",
  "get_effective_policy",
  "list_keys",
  "list_models",
];
const WRITING = ["mint_key", "revoke_key", "bind_policy"];

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly additionalProperties?: boolean;
}

function isBounded({ type, maxItems, maxLength, enum: words, pattern, maximum }: Readonly<Record<string, unknown>>) {
  if (type === "array") return maxItems !== undefined;
  if (type === "string") return maxLength !== undefined || words !== undefined || pattern !== undefined;
  return type === "boolean" || maximum !== undefined;
}

describe("the tools", () => {
  it("are those that read, unless writes are allowed", async () => {
    const tools = await reading.tools();
    expect(tools.map(({ name }) => name)).toEqual(READING);
    expect(tools.filter(({ annotations }) => annotations?.readOnlyHint !== true)).toEqual([]);
    const withWrites = await writing.tools();
    expect(withWrites.map(({ name }) => name)).toEqual([...READING, ...WRITING]);
    const hints = withWrites.slice(READING.length).map(({ annotations }) => annotations);
    expect(hints.map((each) => [each?.readOnlyHint, each?.destructiveHint])).toEqual([
      [false, false],
      [false, true],
      [false, true],
    ]);
  });

  it("that write cannot be called unless writes are allowed", async () => {
    await expect(reading.call("mint_key", MINT)).rejects.toThrow("--allow-writes");
    await expect(writing.call("no_such_tool")).rejects.toThrow("unknown tool: no_such_tool");
  });

  it("refuse every argument that exceeds a bound or is not in their schema", async () => {
    const tools = await writing.tools();
    const schemas = tools.map(({ name, inputSchema }) => [name, inputSchema as ObjectSchema] as const);
    expect(schemas.filter(([, schema]) => schema.additionalProperties !== false)).toEqual([]);
    const unbounded = schemas.flatMap(([name, { properties = {} }]) =>
      Object.entries(properties).flatMap(([argument, schema]) => (isBounded(schema) ? [] : [`${name}.${argument}`])),
    );
    expect(unbounded).toEqual([]);
  });
});

describe("a tool that reads returns what the command prints with --json", () => {
  it.each([
    ["whoami", {}, ["whoami"]],
    ["get_limits", {}, ["limits"]],
    ["list_models", {}, ["models"]],
    ["list_keys", {}, ["keys", "list"]],
    ["list_keys", { limit: 1 }, ["keys", "list", "--limit", "1"]],
    ["list_requests", {}, ["requests"]],
    ["list_requests", { status: "denied", limit: 1 }, ["requests", "--status", "denied", "--limit", "1"]],
    ["list_requests", { key: "agent", model: "echo" }, ["requests", "--key", "agent", "--model", "echo"]],
  ])("%s %j", async (tool, input, command) => {
    const expected = await cliAs(node, agent.token).json("cloud", ...command);
    expect(await reading.value(tool, input)).toEqual(expected);
  });

  it("get_usage, in groups", async () => {
    const input = { group_by: ["model", "status"], from: "2026-01-01", to: "2027-01-01" };
    const range = ["--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z"];
    const command = ["cloud", "usage", "--group-by", "model,status", ...range];
    const usage = await reading.value<{ groups: readonly unknown[] }>("get_usage", input);
    expect(usage).toEqual(await root.json(...command));
    expect(usage.groups).toContainEqual(expect.objectContaining({ model: "echo", status: "succeeded" }));
  });

  it("get_request, with the denial of a policy", async () => {
    const receipt = await reading.value("get_request", { id: denied });
    expect(receipt).toEqual(await root.json("cloud", "request", "get", denied));
    expect(receipt).toMatchObject({ status: "denied", error_code: "model_not_allowed" });
  });

  it("explain_request, with the policy that refused it and the key that it is bound to", async () => {
    const explained = await reading.value("explain_request", { id: denied });
    expect(explained).toEqual(await cliAs(node, agent.token).json("cloud", "request", "explain", denied));
    expect(JSON.stringify(explained)).toContain(narrow.limits_policy_id);
    expect(JSON.stringify(explained)).toContain(narrow.id);
  });

  it("get_effective_policy, of the key in use or of another", async () => {
    const effective = (id: string) =>
      root.json("cloud", "policy", "effective", "--principal-type", "api_key", "--principal-id", id);
    expect(await reading.value("get_effective_policy")).toEqual(await effective(agent.id));
    expect(await reading.value("get_effective_policy", { key: "narrow" })).toEqual(await effective("narrow"));
  });

  it("list_requests, page by page", async () => {
    interface Page {
      readonly data: readonly { readonly id: string }[];
      readonly next_page_token: string | null;
    }
    const first = await reading.value<Page>("list_requests", { limit: 1 });
    const second = await reading.value<Page>("list_requests", { limit: 1, page_token: first.next_page_token });
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual([denied, answered]);
  });

  it("list_keys, page by page", async () => {
    interface Page {
      readonly data: readonly { readonly name: string }[];
      readonly next_page_token: string | null;
    }
    const first = await reading.value<Page>("list_keys", { limit: 1 });
    const rest = await reading.value<Page>("list_keys", { page_token: first.next_page_token });
    const names = [...first.data, ...rest.data].map(({ name }) => name);
    expect(names.slice(0, 3)).toEqual(["root", "agent", "narrow"]);
  });

  it("list_models, by a part of the name", async () => {
    expect(await reading.value("list_models", { search: "ECH" })).toMatchObject({ data: [{ id: "echo" }] });
    expect(await reading.value("list_models", { search: "no such model" })).toMatchObject({ data: [] });
  });
});

describe("a call that cannot be served is an error with reason and message", () => {
  it.each([
    ["an unknown argument", "whoami", { key: "x" }, "ARGUMENT_INVALID", 'Unrecognized key: "key"'],
    ["a missing one", "get_request", {}, "ARGUMENT_INVALID", "id: "],
    ["one of another type", "get_request", { id: 1 }, "ARGUMENT_INVALID", "id: "],
    ["null", "list_requests", { key: null }, "ARGUMENT_INVALID", "key: "],
    ["a text without end", "get_request", { id: "x".repeat(100_000) }, "ARGUMENT_INVALID", "id: "],
    ["a list without end", "get_usage", { group_by: Array(9).fill("key") }, "ARGUMENT_INVALID", "group_by: "],
    ["too many rows", "list_requests", { limit: 101 }, "ARGUMENT_INVALID", "limit: "],
    ["no rows", "list_requests", { limit: 0 }, "ARGUMENT_INVALID", "limit: "],
    ["part of a row", "list_requests", { limit: 1.5 }, "ARGUMENT_INVALID", "limit: "],
    ["an unknown status", "list_requests", { status: "refused" }, "ARGUMENT_INVALID", "status: "],
    ["no time", "get_usage", { from: "yesterday noon" }, "COMMAND_LINE_INVALID", "--from"],
    [
      "a range of mixed up ends",
      "get_usage",
      { from: "2026-06-01T00:00:00Z", to: "2026-05-01T00:00:00Z" },
      "COMMAND_LINE_INVALID",
      "before",
    ],
    ["an option in place of a value", "list_requests", { page_token: "--help" }, "FIELD_INVALID", "page_token"],
    ["an option in place of an id", "get_request", { id: "--help" }, "RESOURCE_NOT_FOUND", ""],
    ["an id of nothing", "get_request", { id: "req_01kayeqtfnexes8b2c1x4m9d7z" }, "RESOURCE_NOT_FOUND", ""],
    ["a name of nothing", "get_usage", { key: "agnet" }, "RESOURCE_NOT_FOUND", "did you mean agent"],
  ])("%s", async (_, tool, input, reason, message) => {
    const error = await reading.error(tool, input);
    expect(error).toMatchObject({ reason, message: expect.stringContaining(message) });
    expect(JSON.stringify(error).length).toBeLessThan(3_000);
  });

  it.each([
    ["get_usage", {}, "usage:read"],
    ["list_requests", {}, "usage:read"],
    ["get_request", { id: "req_01kayeqtfnexes8b2c1x4m9d7z" }, "usage:read"],
    ["explain_request", { id: "req_01kayeqtfnexes8b2c1x4m9d7z" }, "usage:read"],
    ["get_effective_policy", {}, "policy:read"],
    ["list_keys", {}, "keys:read"],
    ["list_models", {}, "inference:invoke"],
    ["mint_key", { ...MINT, scopes: ["namespace:read"] }, "keys:write"],
    ["revoke_key", { key: "key_01kayeqtfnexes8b2c1x4m9d7z" }, "keys:read"],
    [
      "bind_policy",
      {
        policy: "pol_01kayeqtfnexes8b2c1x4m9d7z",
        principal_type: "api_key",
        principal_id: "key_01kayeqtfnexes8b2c1x4m9d7z",
      },
      "policy:write",
    ],
  ])("%s %j beyond the scopes of the key: the scope is named", async (tool, input, scope) => {
    const bare = await mint(root, "bare", "namespace:read");
    await using client = await startMcp(node, bare.token, { args: ["--allow-writes"] });
    const { reason, message, metadata } = await client.error(tool, input);
    expect({ reason, metadata }).toEqual({ reason: "SCOPE_MISSING", metadata: { scope } });
    expect(message).toContain(scope);
  });

  it("a key that was revoked meanwhile", async () => {
    const gone = await mint(root, "gone", "usage:read");
    await using client = await startMcp(node, gone.token);
    await client.value("get_usage");
    await root.json("cloud", "keys", "revoke", gone.id);
    await eventually(async () => (await client.call("whoami")).isError === true, 10_000);
    expect((await client.error("get_usage")).reason).toBe("CREDENTIAL_REVOKED");
  });

  it("no key, or an operator credential, which no tool uses", async () => {
    await using none = await startMcp(node, "");
    expect((await none.error("whoami")).reason).toBe("CREDENTIAL_MISSING");
    const operator = await node.operatorKey();
    await using signedIn = await startMcp(node, "", { environment: { ROUTEPLANE_HOME: node.home } });
    expect(await signedIn.value("whoami")).toMatchObject({ operator: null, key: { name: expect.any(String) } });
    await using asOperator = await startMcp(node, operator, { args: ["--allow-writes"] });
    for (const { name } of await asOperator.tools()) {
      const inputs: Readonly<Record<string, object>> = {
        get_request: { id: answered },
        explain_request: { id: answered },
        mint_key: MINT,
        revoke_key: { key: "agent" },
        bind_policy: { policy: "x", principal_type: "api_key", principal_id: "agent" },
      };
      expect([name, (await asOperator.error(name, { ...inputs[name] })).reason]).toEqual([name, "KEY_REQUIRED"]);
    }
  });
});

describe("a node that is away", () => {
  it("fails each call in bounded time, and serves the next ones when it is back", async () => {
    await node.whileSuspended("gateway", async () => {
      expect((await reading.error("whoami")).reason).toBe("DEADLINE_EXCEEDED");
    });
    await eventually(async () => (await reading.call("whoami")).isError !== true, 20_000);
  }, 60_000);

  it("is named if nothing answers at its address", async () => {
    await using client = await startMcp({ url: "http://127.0.0.1:1" }, agent.token);
    const error = await client.error("get_limits");
    expect(error).toMatchObject({ reason: "NODE_UNREACHABLE", hint: expect.stringContaining("ROUTEPLANE_URL") });
    expect((await client.error("list_models")).reason).toBe("NODE_UNREACHABLE");
  });
});
