import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCliProcess } from "../harness/commands.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace, type NamespaceKeys } from "../harness/policies.ts";
import { type Cli, cliAs } from "./json-cli.ts";

/** `routeplane run`: commands under a key of their own, as processes. */

let node: TestNode;
let own: NamespaceKeys;
let root: Cli;
let folder: string;
let script: string;
beforeAll(async () => {
  node = await startNode();
  own = await newNamespace(node, "agents");
  root = cliAs(node, own.root.token);
  folder = await mkdtemp(join(tmpdir(), "routeplane-run-"));
  script = join(folder, "agent.mjs");
  await writeFile(script, AGENT);
});
afterAll(async () => {
  await node?.remove();
  await rm(folder, { recursive: true, force: true });
});

/** An agent: makes calls and prints the status of each, or does what its argument says. */
const AGENT = `
const { OPENAI_API_KEY: key, OPENAI_BASE_URL: base } = process.env;
const body = JSON.stringify({ model: "echo", max_tokens: 2, messages: [{ role: "user", content: "hello you" }] });
const headers = { authorization: "Bearer " + key, "content-type": "application/json" };
const call = async () => {
  const answer = await fetch(base + "/chat/completions", { method: "POST", headers, body });
  await answer.arrayBuffer();
  return answer.status;
};
const [what, count] = process.argv.slice(2);
if (what === "call") for (let n = 0; n < Number(count); n++) console.log(await call());
if (what === "until-402") for (let n = 0; n < 500; n++) if ((await call()) === 402) { console.log("402"); break; }
if (what === "env") console.log(JSON.stringify(process.env));
if (what === "wait") {
  process.on("SIGTERM", () => process.exit(5));
  console.log(process.pid);
  setInterval(() => {}, 1000);
}
`;

const start = (args: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
  startCliProcess("/nonexistent", ["run", ...args], {
    environment: { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: own.root.token, ...environment },
    timeoutMs: 90_000,
  });
const agent = (...args: string[]) => ["--", process.execPath, script, ...args];

interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly parent_id: string;
  readonly scopes: readonly string[];
  readonly expires_at: string;
  readonly revoked_at: string | null;
}

/** The key of the last command, and those minted below it later. */
async function keysSince(count: number): Promise<readonly KeyRow[]> {
  return (await root.json<{ data: readonly KeyRow[] }>("cloud", "keys", "list")).data.slice(count);
}
const keyCount = async () => (await keysSince(0)).length;

const spendOf = async () => (await root.json<{ spend_micro_usd: number }>("cloud", "usage")).spend_micro_usd;

describe("a command", () => {
  it("calls models under a key of its own; when it ends, the key is revoked and its cost printed", async () => {
    const [before, spent] = [await keyCount(), await spendOf()];
    const run = await start(["--limit-usd", "1", "--models", "echo", ...agent("call", "3")]).ended;
    expect([run.exitCode, run.stdout]).toEqual([0, "200\n200\n200\n"]);
    const [key, ...others] = await keysSince(before);
    expect(others).toEqual([]);
    expect(key).toMatchObject({ parent_id: own.root.id, name: expect.stringMatching(/^run node/) });
    expect(key?.scopes).toEqual(["inference:invoke", "keys:read", "keys:write", "policy:read", "usage:read"]);
    expect(key?.revoked_at).not.toBeNull();
    const cost = (await spendOf()) - spent;
    expect(cost).toBeGreaterThan(0);
    expect(run.stderr).toBe(`${key?.id} cost $${(cost / 1e6).toFixed(6)} in 3 requests\n`);
  });

  it("finds addresses and key in every variable that clients read, and no other credential", async () => {
    const before = await keyCount();
    const run = await start(agent("env"), {
      ANTHROPIC_AUTH_TOKEN: "other",
      ROUTEPLANE_OPERATOR_KEY: await node.operatorKey(),
      UNTOUCHED: "yes",
    }).ended;
    const variables = JSON.parse(run.stdout) as Record<string, string>;
    const token = variables["ROUTEPLANE_API_KEY"] ?? "";
    expect(token).toMatch(/^rp_/);
    expect(token).not.toBe(own.root.token);
    expect(variables).toMatchObject({
      OPENAI_API_KEY: token,
      OPENAI_BASE_URL: `${node.url}/v1`,
      ANTHROPIC_API_KEY: token,
      ANTHROPIC_BASE_URL: node.url,
      ROUTEPLANE_URL: node.url,
      UNTOUCHED: "yes",
    });
    expect(Object.keys(variables)).not.toContain("ANTHROPIC_AUTH_TOKEN");
    expect(Object.keys(variables)).not.toContain("ROUTEPLANE_OPERATOR_KEY");
    expect(run.stderr).not.toContain(token);
    expect((await cliAs(node, token).error("cloud", "whoami")).reason).toBe("CREDENTIAL_REVOKED");
    const [key] = await keysSince(before);
    expect(Date.parse(key?.expires_at ?? "") - Date.now()).toBeGreaterThan(7.9 * 3_600_000);
    expect(Date.parse(key?.expires_at ?? "") - Date.now()).toBeLessThan(8 * 3_600_000);
  });

  it.each([
    ["its own exit code", ["--", "sh", "-c", "exit 7"], 7],
    ["127 if it is not found", ["--", "no-such-command-here"], 127],
    ["126 if it cannot be executed", ["--", "/etc/passwd"], 126],
    ["128 and the number of the signal that killed it", ["--", "sh", "-c", "kill -KILL $$"], 137],
  ])("ends with %s, and its key with it", async (_, args, exitCode) => {
    const before = await keyCount();
    expect((await start(args).ended).exitCode).toBe(exitCode);
    const keys = await keysSince(before);
    expect(keys.map(({ revoked_at }) => revoked_at !== null)).toEqual([true]);
  });

  it("is refused without a key if it is missing, and if the key in use may not mint or is no longer valid", async () => {
    const before = await keyCount();
    const missing = await start(["--limit-usd", "1", "--json"]).ended;
    expect([missing.exitCode, JSON.parse(missing.stderr).error.message]).toEqual([2, "a command is missing"]);
    const reader = await root.json<{ token: string }>("cloud", "keys", "mint", "--name", "r", "--scope", "keys:read");
    const denied = await start(agent("env"), { ROUTEPLANE_API_KEY: reader.token }).ended;
    expect([denied.exitCode, denied.stdout]).toEqual([4, ""]);
    const mint = ["--name", "gone", "--scope", "inference:invoke keys:write", "--expires-in", "1s"];
    const gone = await root.json<{ token: string }>("cloud", "keys", "mint", ...mint);
    await eventually(() => cliAs(node, gone.token)("cloud", "whoami").then(({ exitCode }) => exitCode === 4), 10_000);
    const expired = await start(agent("env"), { ROUTEPLANE_API_KEY: gone.token }).ended;
    expect([expired.exitCode, expired.stdout]).toEqual([4, ""]);
    expect(await keyCount()).toBe(before + 2);
  });

  it("is refused unless it follows --, after which options are its own", async () => {
    const before = await keyCount();
    const limits = ["--limit-usd", "1"];
    for (const args of [
      [...limits, "echo", "--limit-usd", "2"],
      [...limits, "echo"],
      ["echo", "--", "x"],
    ]) {
      const { exitCode, stdout, stderr } = await start(args).ended;
      expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining("not after --")]);
    }
    const own = await start([...limits, "--", "echo", "--limit-usd", "2", "--", "--json"]).ended;
    expect([own.exitCode, own.stdout]).toEqual([0, "--limit-usd 2 -- --json\n"]);
    expect(await keyCount()).toBe(before + 1);
  });

  it("is ended by a signal during the wait for its cost, with its key revoked", async () => {
    const before = await keyCount();
    // Without an aggregator, the request has no row, or a pending one, during the whole wait.
    await node.whileSuspended("aggregator", async () => {
      const run = start(agent("call", "1"));
      await eventually(async () => ((await keysSince(before))[0]?.revoked_at ?? null) !== null, 30_000);
      run.child.kill("SIGTERM");
      const { exitCode, stderr } = await run.ended;
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining("its cost could not be read")]);
    });
  });

  it("gets the signals that its `run` gets, and its end is awaited", async () => {
    const before = await keyCount();
    const run = start(agent("wait"));
    await eventually(() => run.stdout().includes("\n"), 30_000);
    run.child.kill("SIGTERM");
    expect((await run.ended).exitCode).toBe(5);
    expect((await keysSince(before)).map(({ revoked_at }) => revoked_at !== null)).toEqual([true]);
  });

  it("leaves a key that expires by itself if its `run` is killed", async () => {
    const before = await keyCount();
    const run = start(["--expires-in", "3s", ...agent("wait")]);
    await eventually(() => run.stdout().includes("\n"), 30_000);
    run.child.kill("SIGKILL");
    const pid = Number(run.stdout());
    try {
      const [key] = await keysSince(before);
      expect(key?.revoked_at).toBeNull();
      expect(Date.parse(key?.expires_at ?? "")).toBeLessThan(Date.now() + 3_000);
    } finally {
      process.kill(pid, "SIGKILL");
    }
  });

  it("three levels deep is subject to every budget above it; once one is used up, the whole tree spends nothing more", async () => {
    const [before, spent] = [await keyCount(), await spendOf()];
    const run = (...limit: string[]) => ["node", CLI, "run", ...limit, "--"];
    const inner = [process.execPath, script, "until-402"].join(" ");
    const middle = [...run("--limit-usd", "0.00006"), "sh", "-c", `'${inner}; ${inner}'`].join(" ");
    const nested = [...run("--limit-usd", "0.00004"), process.execPath, script, "until-402"].join(" ");
    const outer = `${nested}; ${middle}; ${process.execPath} ${script} call 1`;
    const { exitCode, stdout, stderr } = await start(["--limit-usd", "0.00006", "--", "sh", "-c", outer]).ended;
    expect([exitCode, stdout]).toEqual([0, "402\n402\n402\n402\n"]);
    const keys = await keysSince(before);
    expect(keys.map(({ revoked_at }) => revoked_at !== null)).toEqual([true, true, true]);
    const total = (await spendOf()) - spent;
    expect(total).toBeGreaterThan(40);
    expect(total).toBeLessThanOrEqual(60);
    expect(stderr.trim().split("\n").at(-1)).toContain(`${keys[0]?.id} cost $${(total / 1e6).toFixed(6)} in`);
  });
});

const CLI = join(import.meta.dirname, "../../packages/cli/bin/routeplane.cjs");

it.each([
  ["openai", ["OPENAI_API_KEY", "OPENAI_BASE_URL"]],
  ["anthropic", ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]],
  ["claude-code", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"]],
  ["codex", ["OPENAI_API_KEY", "OPENAI_BASE_URL"]],
  ["langchain", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]],
])("`cloud env --for %s` prints its variables for a shell, and as JSON", async (client, names) => {
  const variables = await root.json<Record<string, string>>("cloud", "env", "--for", client);
  expect(Object.keys(variables)).toEqual(names);
  const { stdout } = await root("cloud", "env", "--for", client);
  expect(stdout).toBe(names.map((name) => `export ${name}='${variables[name]}'\n`).join(""));
  expect(stdout).toContain(own.root.token);
});

it("`cloud env` is refused for an operator credential and an unknown client", async () => {
  const operator = cliAs(node, await node.operatorKey());
  expect((await operator.error("cloud", "env", "--for", "openai")).reason).toBe("KEY_REQUIRED");
  expect((await root.error("cloud", "env", "--for", "emacs")).exitCode).toBe(2);
});
