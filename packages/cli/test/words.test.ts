import { PassThrough } from "node:stream";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { IdentityService, KeyService } from "@routeplane/contracts/auth";
import { BudgetService, EffectivePolicyService, PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import type { Command } from "commander";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readSettings } from "../src/config.ts";
import { loadAllCommands } from "../src/lazy-commands.ts";
import { modeOf } from "../src/output/mode.ts";
import { createOutput } from "../src/output/output.ts";
import { createProgram } from "../src/program.ts";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const CREATED = { seconds: 1_777_593_600n, nanos: 0 };
const AGENT = { id: "key_agent", name: "agent", createdAt: CREATED };
const TWIN = { id: "key_twin", name: "twin", createdAt: CREATED };

/** Principals, and limits in micro-USD, in calls. */
let calls: unknown[] = [];
let namespaceName = "team";
let node: FakeNode;

function record({ principalType, principalId }: { principalType: PrincipalType; principalId: string }): never {
  calls.push([PrincipalType[principalType], principalId]);
  throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "refused by the test");
}

function recordLimit(limitMicroUsd: bigint | undefined): never {
  calls.push(limitMicroUsd);
  throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "refused by the test");
}

function routes(router: ConnectRouter): void {
  router.service(IdentityService, {
    whoAmI: () => ({
      account: { id: "acc_1", name: "default" },
      identity: { case: "key", value: { keyId: "key_1", namespaceId: "ns_1", namespaceName, scopes: ["*:*"] } },
    }),
  });
  router.service(KeyService, { listKeys: () => ({ keys: [AGENT, TWIN] }) });
  router.service(PolicyService, { bindPolicy: record, unbindAll: record, listPrincipalPolicies: record });
  router.service(EffectivePolicyService, { getEffectivePolicy: record });
  router.service(BudgetService, {
    createBudget: ({ spec }) => recordLimit(spec?.limitMicroUsd),
    updateBudget: ({ limitMicroUsd }) => recordLimit(limitMicroUsd),
  });
}

beforeAll(async () => {
  node = await startFakeNode(routes);
});
afterAll(() => node[Symbol.asyncDispose]());
beforeEach(() => {
  calls = [];
  namespaceName = "team";
});

const cloud = (...argv: readonly string[]) =>
  runCli(["cloud", ...argv], {
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_x",
    ROUTEPLANE_HOME: "/nonexistent",
  });

async function wholeProgram(): Promise<Command> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const unused = () => {
    throw new Error("help needs no node");
  };
  const output = createOutput(() => modeOf(undefined), stdout, stderr);
  const streams = { stdin, stdout, stderr };
  const context = {
    argv: [],
    settings: readSettings({}),
    output,
    ...streams,
    url: unused,
    connect: unused,
    capture: unused,
    changeSettings: unused,
    setExitCode: unused,
  };
  const program = createProgram(context);
  await loadAllCommands(program);
  return program;
}

/** Groups of commands from `command` down, each with the words by which it is called. */
function groupsBelow(
  command: Command,
  words: readonly string[] = [],
): readonly (readonly [words: readonly string[], group: Command])[] {
  const below = command.commands.flatMap((child) => groupsBelow(child, [...words, child.name()]));
  return command.commands.length === 0 ? below : [[words, command], ...below];
}

describe("aliases of commands", () => {
  it.each([
    [
      ["cloud", "key", "create"],
      ["cloud", "keys", "mint"],
    ],
    [
      ["cloud", "keys", "ls"],
      ["cloud", "keys", "list"],
    ],
    [
      ["cloud", "policies", "show"],
      ["cloud", "policy", "get"],
    ],
    [
      ["cloud", "policies", "rm"],
      ["cloud", "policy", "delete"],
    ],
    [
      ["cloud", "budgets", "rm"],
      ["cloud", "budget", "delete"],
    ],
    [
      ["cloud", "namespaces", "ls"],
      ["cloud", "namespace", "list"],
    ],
    [
      ["cloud", "operators", "create"],
      ["cloud", "operator", "mint"],
    ],
    [
      ["admin", "dead-letters", "get"],
      ["admin", "dead-letters", "show"],
    ],
  ])("%j is %j", async (words, command) => {
    const shown = await runCli([...words, "--help"], {});
    expect(shown).toEqual(await runCli([...command, "--help"], {}));
    expect(shown).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`Usage: routeplane ${command.slice(0, -1).join(" ")}`),
    });
  });

  it("give every list, delete and mint its short name, and never use the name of another command", async () => {
    const groups = groupsBelow(await wholeProgram());
    expect(groups.length).toBeGreaterThan(10);
    for (const [, { commands }] of groups) {
      const words = commands.flatMap((command) => [command.name()].concat(command.aliases()));
      expect(words).toEqual([...new Set(words)]);
      for (const [name, alias] of [
        ["list", "ls"],
        ["delete", "rm"],
        ["mint", "create"],
      ] as const) {
        if (words.includes(name)) expect(words).toContain(alias);
      }
    }
  });
});

it("gives -y to every --yes and -n to every --namespace", async () => {
  const options = groupsBelow(await wholeProgram()).flatMap(([, { commands }]) =>
    commands.flatMap((command) => command.options),
  );
  const shortOf = (long: string) => new Set(options.filter((option) => option.long === long).map(({ short }) => short));
  expect([shortOf("--yes"), shortOf("--namespace")]).toEqual([new Set(["-y"]), new Set(["-n"])]);
});

it("shows the help of each command through the command `help` of each group above it", async () => {
  for (const [words, group] of groupsBelow(await wholeProgram())) {
    for (const child of group.commands.filter((command) => command.name() !== "help")) {
      const byWord = await runCli([...words, "help", child.name()], {});
      expect({ words, child: child.name(), ...byWord }).toMatchObject({ code: 0, stderr: "" });
      expect(byWord.stdout).toBe((await runCli([...words, child.name(), "--help"], {})).stdout);
    }
  }
}, 60_000);

describe("a principal", () => {
  it.each([
    ["a key by its name", "agent", ["API_KEY", "key_agent"]],
    ["a key by its id", "key_other", ["API_KEY", "key_other"]],
    ["the namespace by its name", "team", ["NAMESPACE", "ns_1"]],
    ["the namespace by its id", "ns_other", ["NAMESPACE", "ns_other"]],
  ])("is named by an argument alone: %s", async (_, named, principal) => {
    await cloud("policy", "bind", "pol_1", named);
    await cloud("policy", "unbind", "pol_1", named, "--yes");
    await cloud("policy", "effective", named);
    await cloud("policy", "for-principal", named);
    expect(calls).toEqual([principal, principal, principal, principal]);
  });

  it("whose name is shared by a key and the namespace is refused with both ids, unless its type is given", async () => {
    namespaceName = "twin";
    const refused = await cloud("policy", "effective", "twin");
    expect({ ...refused, calls }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("ns_1, key_twin"),
      calls: [],
    });
    await cloud("policy", "effective", "twin", "--principal-type", "api_key");
    await cloud("policy", "effective", "twin", "--principal-type", "namespace");
    expect(calls).toEqual([
      ["API_KEY", "key_twin"],
      ["NAMESPACE", "ns_1"],
    ]);
  });

  it.each([
    ["missing", ["bind", "pol_1"], "a principal is missing"],
    ["a type alone", ["for-principal", "--principal-type", "api_key"], "a principal is missing"],
    ["named twice", ["effective", "agent", "--principal-id", "key_1"], "once"],
    ["named beside --all", ["unbind", "pol_1", "agent", "--all"], "in one way"],
  ])("is refused if it is %s: exit code 2, and no call", async (_, argv, message) => {
    const calledBefore = node.authorizations.length;
    const refused = await cloud("policy", ...argv);
    expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
    expect(node.authorizations).toHaveLength(calledBefore);
  });
});

describe("a limit in USD", () => {
  it("is exact in micro-USD, wherever a budget takes a limit", async () => {
    await cloud("budget", "create", "--name", "cap", "--window", "day", "--limit-usd", "5");
    await cloud("budget", "update", "pol_1", "--limit-usd", "0.000001");
    expect(calls).toEqual([5_000_000n, 1n]);
  });

  it.each([
    [["--limit-usd", "5", "--limit-micro-usd", "5"], "cannot be used with option"],
    [["--limit-usd", "0"], "above 0"],
    [["--limit-usd", "0.0000001"], "at most 6 decimals"],
    [["--limit-usd", "-1"], "above 0"],
  ])("is refused as %j", async (limit, message) => {
    const refused = await cloud("budget", "create", "--name", "cap", "--window", "day", ...limit);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });
});

it("prints errors but no remarks under --quiet, at any position", async () => {
  const loud = await cloud("logout");
  expect(loud.stderr).toContain("ROUTEPLANE_API_KEY is set");
  expect(await cloud("logout", "-q")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await cloud("--quiet", "logout")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await cloud("policy", "effective", "nobody", "-q")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("nobody"),
  });
});
