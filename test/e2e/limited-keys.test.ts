import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, failureOf, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace, type NamespaceKeys } from "../harness/policies.ts";
import { type Cli, cliAs } from "./json-cli.ts";

/** Keys that are minted with limits, through the command line, the services and the gateway. */

let node: TestNode;
let own: NamespaceKeys;
let root: Cli;
beforeAll(async () => {
  node = await startNode();
  own = await newNamespace(node, "limited");
  root = cliAs(node, own.root.token);
});
afterAll(() => node.remove());

interface Minted {
  readonly id: string;
  readonly token: string;
  readonly expires_at: string;
  readonly limits_policy_id: string | null;
}

const mintAs = (token: string, ...flags: string[]) =>
  cliAs(node, token).json<Minted>(
    "cloud",
    "keys",
    "mint",
    "--name",
    "agent",
    "--scope",
    "inference:* keys:*",
    ...flags,
  );
const call = (token: string) => openAiClient(node, token).chat.completions.create(chatBody("hi"));

describe("a key minted with limits", () => {
  it("is subject to each limit from its first request on, also after a rotation", async () => {
    const limits = ["--limit-usd", "0.25", "--window", "total", "--max-requests", "1/1h", "--models", "echo"];
    const before = Date.now();
    const minted = await mintAs(own.root.token, ...limits, "--expires-in", "1h");
    expect(Date.parse(minted.expires_at) - before).toBeGreaterThan(3_500_000);
    expect(Date.parse(minted.expires_at) - before).toBeLessThan(3_700_000);
    await call(minted.token);
    const { token } = await cliAs(node, minted.token).json<Minted>("cloud", "keys", "rotate", minted.id);
    expect((await failureOf(call(token))).status).toBe(429);
    const policy = await root.json<object>("cloud", "policy", "get", minted.limits_policy_id ?? "");
    expect(policy).toMatchObject({
      name: `limits of ${minted.id}`,
      kind: "preset",
      spec: {
        budget: { window: "total", limit_micro_usd: 250_000 },
        rate_limit: { window_secs: 3_600, max_requests: 1 },
        guardrail: { model_allow: ["echo"] },
      },
    });
  });

  it("calls the models that its limits name, and no other", async () => {
    const minted = await mintAs(own.root.token, "--models", "gpt-*,claude-*");
    expect((await failureOf(call(minted.token))).status).toBe(403);
  });

  it("mints keys within its limits, down the tree, without a scope on policies; a wider one is refused and names the limit", async () => {
    const parent = await mintAs(own.root.token, "--limit-usd", "2");
    const child = await mintAs(parent.token, "--limit-usd", "2");
    const wide = ["cloud", "keys", "mint", "--name", "wide", "--scope", "inference:invoke", "--limit-usd", "2.000001"];
    const refused = await cliAs(node, child.token).error(...wide);
    expect(refused).toMatchObject({ exitCode: 4, reason: "LIMIT_EXCEEDS_PARENT" });
    expect(refused.message).toContain("limits.budget.limit_micro_usd: must not be above 2000000");
    expect((await cliAs(node, child.token).error("cloud", "policy", "list")).reason).toBe("SCOPE_MISSING");
    const keys = await root.json<{ data: { name: string }[] }>("cloud", "keys", "list");
    expect(keys.data.map(({ name }) => name)).not.toContain("wide");
  });

  it("can be a root key of a namespace, minted by the operator", async () => {
    const flags = [
      "--name",
      "limited root",
      "--scope",
      "inference:* keys:*",
      "--namespace",
      "limited",
      "--limit-usd",
      "3",
    ];
    const { exitCode, stdout } = await node.cli(["cloud", "keys", "mint", ...flags, "--json"]);
    const minted = JSON.parse(stdout) as Minted;
    expect([exitCode, minted.limits_policy_id]).toEqual([0, expect.stringMatching(/^pol_/)]);
    const limits = await cliAs(node, minted.token).json<{ data: { policy_name: string }[] }>("cloud", "limits");
    expect(limits.data.map((limit) => limit.policy_name)).toEqual([`limits of ${minted.id}`]);
  });

  it("leaves no policy when it is revoked", async () => {
    const minted = await mintAs(own.root.token, "--limit-usd", "1");
    const child = await mintAs(minted.token, "--max-requests", "5/1m");
    await root.json("cloud", "keys", "revoke", minted.id);
    const reasonOf = (id: string | null) =>
      root.error("cloud", "policy", "get", id ?? "").then(
        ({ reason }) => reason,
        () => undefined,
      );
    for (const id of [minted.limits_policy_id, child.limits_policy_id])
      expect(await eventually(() => reasonOf(id), 20_000)).toBe("RESOURCE_NOT_FOUND");
  });
});

describe("a mint with limits", () => {
  it.each([
    [["--window", "day"], "--window needs --limit-usd"],
    [["--limit-usd", "0"], "above 0"],
    [["--limit-usd", "1.0000001"], "at most 6 decimals"],
    [["--limit-usd", "-5"], "above 0"],
    [["--limit-usd", "5", "--window", "year"], "Allowed choices"],
    [["--max-requests", "60"], "e.g. 60/1m"],
    [["--max-requests", "0/1m"], "e.g. 60/1m"],
    [["--max-requests", "60/31d"], "30d"],
    [["--expires-in", "0s"], "from 1s"],
    [["--expires-in", "1h", "--expires-at", "2099-01-01T00:00:00Z"], "cannot be used with"],
  ])("is refused before a call for %j", async (flags, message) => {
    const error = await root.error("cloud", "keys", "mint", "--name", "x", "--scope", "inference:invoke", ...flags);
    expect(error).toMatchObject({ exitCode: 2, reason: "COMMAND_LINE_INVALID" });
    expect(error.message).toContain(message);
  });

  it("is refused for an expiry after the parent's, and binds nothing", async () => {
    const parent = await mintAs(own.root.token, "--expires-in", "10m");
    const before = await root.json<{ data: object[] }>("cloud", "policy", "list");
    const flags = ["--name", "x", "--scope", "inference:invoke", "--expires-in", "1h", "--limit-usd", "1"];
    const error = await cliAs(node, parent.token).error("cloud", "keys", "mint", ...flags);
    expect(error.reason).toBe("EXPIRY_EXCEEDS_PARENT");
    expect(await root.json<{ data: object[] }>("cloud", "policy", "list")).toEqual(before);
  });
});
