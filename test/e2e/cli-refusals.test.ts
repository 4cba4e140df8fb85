import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, type CliError, cliIn, cliOf, type List } from "./json-cli.ts";

/** Tests of permissions and refusals through the real command on a real node. */

interface Key {
  readonly id: string;
  readonly revoked_at: string | null;
}
interface Minted extends Key {
  readonly token: string;
}

const UNKNOWN_KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";
const UNKNOWN_POLICY = "pol_01kayeqtfnexes8b2c1x4m9d7z";

let node: TestNode;
/** CLI with the login that the first start saved. */
let cli: Cli;
/** Sub-key of that login without keys:write. */
let agent: Minted;

beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
  agent = await mint(cli, "my-agent", "inference:invoke keys:read policy:read usage:read");
  await cli.json("cloud", "namespace", "create", "staging");
  await cli.json("cloud", "budget", "create", "--name", "daily-cap", "--window", "day", "--limit-micro-usd", "5000000");
}, 120_000);

afterAll(async () => {
  await node?.remove();
});

const mint = (as: Cli, name: string, scope: string, ...more: string[]): Promise<Minted> =>
  as.json<Minted>("cloud", "keys", "mint", "--name", name, "--scope", scope, ...more);

/** State that a refused command must not change. */
async function stateOf(as: Cli): Promise<object> {
  const keys = await as.json<List<Key>>("cloud", "keys", "list");
  const policies = await as.json<List<object>>("cloud", "policy", "list");
  return { keys: keys.data.map(({ id, revoked_at }) => ({ id, revoked_at })), policies: policies.data };
}

describe("a sub-key with more than its minter holds", () => {
  it("is refused with the offending scopes, and nothing is minted", async () => {
    const minter = await mint(cli, "minter", "keys:write keys:read usage:read");
    const as = cliAs(node, minter.token);
    const before = await stateOf(cli);
    const argv = ["cloud", "keys", "mint", "--name", "x", "--scope", "usage:read policy:write inference:invoke"];
    const error = await as.error(...argv);
    expect(error).toMatchObject({ exitCode: 4, code: "permission_denied", reason: "SCOPE_EXCEEDS_PARENT" });
    for (const scope of ["policy:write", "inference:invoke"]) expect(error.message).toContain(scope);
    expect(error.message).not.toContain("usage:read");
    expect(await stateOf(cli)).toEqual(before);
  });

  it("is refused without keys:write, which the refusal names", async () => {
    const error = await cliAs(node, agent.token).error("cloud", "keys", "mint", "--name", "x", "--scope", "usage:read");
    expect(error).toMatchObject({
      exitCode: 4,
      reason: "SCOPE_MISSING",
      message: expect.stringContaining("keys:write"),
    });
  });

  it("cannot expire later than its minter", async () => {
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const minter = await mint(cli, "short", "keys:write", "--expires-at", soon);
    const as = cliAs(node, minter.token);
    const error = await as.error(
      "cloud",
      "keys",
      "mint",
      "--name",
      "x",
      "--scope",
      "keys:write",
      "--expires-at",
      "2099-01-01T00:00:00Z",
    );
    expect(error).toMatchObject({ exitCode: 4, reason: "EXPIRY_EXCEEDS_PARENT" });
  });
});

describe("an operator", () => {
  it("mints a root key in another namespace, which has no access to the first", async () => {
    const root = await mint(cli, "staging-root", "keys:* policy:* usage:* namespace:*", "--namespace", "staging");
    const staging = cliAs(node, root.token);
    expect(await staging.json("cloud", "namespace", "current")).toMatchObject({ name: "staging" });
    expect((await staging.json<List<Key>>("cloud", "keys", "list")).data.map(({ id }) => id)).toEqual([root.id]);
    expect(await staging.json("cloud", "policy", "list")).toEqual({ data: [], next_page_token: null });
    const foreign = await staging.error("cloud", "keys", "revoke", agent.id);
    const unknown = await staging.error("cloud", "keys", "revoke", UNKNOWN_KEY);
    expect(foreign).toMatchObject({ exitCode: 1, code: "not_found", reason: "RESOURCE_NOT_FOUND" });
    expect({ ...foreign, request_id: null }).toEqual({ ...unknown, request_id: null });
  });

  it("refuses a taken name and an unknown namespace", async () => {
    expect(await cli.error("cloud", "namespace", "create", "staging")).toMatchObject({
      exitCode: 1,
      reason: "NAME_TAKEN",
    });
    const error = await cli.error(
      "cloud",
      "keys",
      "mint",
      "--namespace",
      "nowhere",
      "--name",
      "x",
      "--scope",
      "usage:read",
    );
    expect(error).toMatchObject({ exitCode: 1, reason: "RESOURCE_NOT_FOUND" });
  });

  it("is required to create a namespace", async () => {
    const as = cliAs(node, agent.token);
    expect(await as.error("cloud", "namespace", "create", "mine")).toMatchObject({
      exitCode: 4,
      reason: "OPERATOR_REQUIRED",
    });
  });
});

describe("login and logout", () => {
  it("keeps the login until logout", async () => {
    const home = await mkdtemp(join(tmpdir(), "routeplane-login-"));
    try {
      const elsewhere = cliIn(home, { ROUTEPLANE_URL: node.url });
      expect(await elsewhere("cloud", "login", "--api-key", agent.token)).toMatchObject({ exitCode: 0 });
      const saved = cliIn(home);
      expect(await saved.json("cloud", "whoami")).toMatchObject({ key: { id: agent.id } });
      expect(await saved("cloud", "logout")).toMatchObject({ exitCode: 0 });
      expect(await saved.error("cloud", "whoami")).toMatchObject({ exitCode: 4, reason: "CREDENTIAL_MISSING" });
    } finally {
      await rm(home, { recursive: true });
    }
  });
});

describe("invalid input", () => {
  const wrong: [label: string, argv: string[], error: Partial<CliError>][] = [
    [
      "unknown scope",
      ["keys", "mint", "--name", "x", "--scope", "keys:read keys:fly"],
      { exitCode: 1, reason: "FIELD_INVALID", message: expect.stringContaining("keys:fly") },
    ],
    [
      "scope given twice",
      ["keys", "mint", "--name", "x", "--scope", "keys:read keys:read"],
      { exitCode: 1, reason: "FIELD_INVALID", message: expect.stringContaining("twice") },
    ],
    [
      "expiry in the past",
      ["keys", "mint", "--name", "x", "--scope", "keys:read", "--expires-at", "2020-01-01T00:00:00Z"],
      { exitCode: 1, reason: "FIELD_INVALID", message: expect.stringContaining("expires_at") },
    ],
    ["unknown key", ["keys", "revoke", UNKNOWN_KEY], { exitCode: 1, reason: "RESOURCE_NOT_FOUND" }],
    ["malformed key id", ["keys", "get", "nonsense"], { exitCode: 1, reason: "RESOURCE_NOT_FOUND" }],
    [
      "unknown policy",
      ["policy", "bind", UNKNOWN_POLICY, "--principal-type", "namespace", "--principal-id", "ns_1"],
      { exitCode: 1, reason: "RESOURCE_NOT_FOUND" },
    ],
    [
      "taken policy name",
      ["budget", "create", "--name", "daily-cap", "--window", "hour", "--limit-micro-usd", "1"],
      { exitCode: 1, reason: "NAME_TAKEN" },
    ],
    ["forged page token", ["requests", "--page-token", "Zm9yZ2Vk"], { exitCode: 1, reason: "FIELD_INVALID" }],
    ["limit zero", ["budget", "create", "--name", "x", "--window", "day", "--limit-micro-usd", "0"], { exitCode: 2 }],
    [
      "unknown window",
      ["budget", "create", "--name", "x", "--window", "year", "--limit-micro-usd", "1"],
      { exitCode: 2 },
    ],
    ["time without offset", ["usage", "--from", "2026-05-01T00:00:00"], { exitCode: 2 }],
    ["from in the future", ["usage", "--from", "2099-01-01T00:00:00Z"], { exitCode: 1, reason: "FIELD_INVALID" }],
    ["unknown command", ["keys", "steal"], { exitCode: 2 }],
  ];

  it("is refused with the field and the rule, and changes nothing", async () => {
    const before = await stateOf(cli);
    for (const [label, argv, expected] of wrong) {
      expect(await cli.error("cloud", ...argv), label).toMatchObject(expected);
    }
    expect(await stateOf(cli)).toEqual(before);
  });

  it("is reported to people in one line with the fault and one with the remedy", async () => {
    const { stderr } = await cli("cloud", "policy", "get", UNKNOWN_POLICY);
    expect(stderr).toMatch(/^error: not found: .*\nCheck the id; .*\n$/);
  });

  it.each([
    ["malformed", "rp_live_garbled"],
    ["well-formed and unknown", `rp_live_${"0".repeat(22)}_${"0".repeat(43)}_000000`],
  ])("refuses a token that is %s", async (_, token) => {
    const as = cliAs(node, token);
    expect(await as.error("cloud", "keys", "list")).toMatchObject({ exitCode: 4, reason: "CREDENTIAL_INVALID" });
  });

  it("refuses an expired key", async () => {
    const key = await mint(cli, "brief", "usage:read", "--expires-at", new Date(Date.now() + 1_500).toISOString());
    const as = cliAs(node, key.token);
    await eventually(async () => (await as("cloud", "usage")).exitCode === 4, 8_000);
    expect(await as.error("cloud", "usage")).toMatchObject({ exitCode: 4, reason: "CREDENTIAL_EXPIRED" });
  });
});
