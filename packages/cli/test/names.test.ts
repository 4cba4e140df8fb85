import { PassThrough } from "node:stream";
import { Code, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import {
  AccountService,
  IdentityService,
  KeyService,
  NamespaceService,
  OperatorService,
} from "@routeplane/contracts/auth";
import {
  BudgetService,
  EffectivePolicyService,
  GuardrailService,
  PolicyKind,
  PolicyService,
  PresetService,
  RateLimitService,
  SimulationService,
} from "@routeplane/contracts/policy";
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
const KEYS = [
  { id: "key_agent", name: "agent", createdAt: CREATED },
  { id: "key_twin1", name: "twin", createdAt: CREATED, revokedAt: CREATED },
  { id: "key_twin2", name: "twin", createdAt: CREATED },
  { id: "key_upper", name: "Bot", createdAt: CREATED },
  { id: "key_lower", name: "bot", createdAt: CREATED },
  { id: "key_odd", name: "key_agent", createdAt: CREATED },
];
const POLICIES = [
  { id: "pol_cap", name: "daily-cap", createdAt: CREATED },
  { id: "pol_odd", name: "pol_cap", createdAt: CREATED },
  { id: "pol_cards", name: "cards", kind: PolicyKind.GUARDRAIL, createdAt: CREATED },
];
const NAMESPACES = [
  { id: "ns_live", name: "staging", createdAt: CREATED },
  { id: "ns_gone", name: "staging", createdAt: CREATED, deletedAt: CREATED },
  { id: "ns_old1", name: "old", createdAt: CREATED, deletedAt: CREATED },
  { id: "ns_old2", name: "old", createdAt: CREATED, deletedAt: CREATED },
];

/** Calls that the node received, as JSON, without look-ups. The node refuses them, because the tests are only about the ids in them. */
const calls: string[] = [];
let mayList = true;

function record(request: object, { method }: HandlerContext): never {
  const { $typeName: _, ...fields } = request as Record<string, unknown>;
  calls.push(
    `${method.name} ${JSON.stringify(fields, (__, value: unknown) => (typeof value === "bigint" ? `${value}` : value))}`,
  );
  throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "refused by the test");
}

function ifAllowed<T>(answer: T): T {
  if (!mayList) throw refusal(Code.PermissionDenied, "SCOPE_MISSING", "no scope", { scope: "keys:read" });
  return answer;
}

/** Service in which every method is `record`, except those in `answers`. */
function recorder(methods: readonly string[]): Record<string, typeof record> {
  return Object.fromEntries(methods.map((name) => [name, record]));
}

function routes(router: ConnectRouter): void {
  router.service(IdentityService, {
    whoAmI: () => ({
      account: { id: "acc_1", name: "default" },
      identity: {
        case: "key",
        value: { keyId: "key_me", name: "root", namespaceId: "ns_1", namespaceName: "default" },
      },
    }),
  });
  router.service(KeyService, {
    ...recorder(["getKey", "updateKey", "rotateKey", "revokeKey", "mintRootKey"]),
    listKeys: () => ifAllowed({ keys: KEYS }),
  });
  router.service(NamespaceService, {
    ...recorder("createNamespace getNamespace renameNamespace suspendNamespace".split(" ")),
    ...recorder("resumeNamespace deleteNamespace restoreNamespace".split(" ")),
    listNamespaces: () => ({ namespaces: NAMESPACES }),
  });
  router.service(AccountService, recorder(["getAccount", "renameAccount"]));
  router.service(OperatorService, recorder(["mintOperator"]));
  router.service(PolicyService, {
    ...recorder("getPolicy updatePolicy deletePolicy enablePolicy disablePolicy bindPolicy".split(" ")),
    ...recorder("unbindPolicy unbindAll listBindings listPrincipalPolicies".split(" ")),
    // A policy without a kind, in this test, is of every kind.
    listPolicies: ({ kind: wanted }) =>
      ifAllowed({
        policies: POLICIES.filter(({ kind = wanted }) => wanted === PolicyKind.UNSPECIFIED || kind === wanted),
      }),
  });
  router.service(BudgetService, recorder(["createBudget", "getBudget", "updateBudget", "deleteBudget"]));
  router.service(GuardrailService, recorder(["createGuardrail", "getGuardrail", "updateGuardrail", "deleteGuardrail"]));
  router.service(RateLimitService, recorder(["createRateLimit", "getRateLimit", "updateRateLimit", "deleteRateLimit"]));
  router.service(PresetService, recorder(["createPreset", "getPreset", "updatePreset", "deletePreset"]));
  router.service(EffectivePolicyService, recorder(["getEffectivePolicy"]));
  router.service(SimulationService, recorder(["simulatePolicy"]));
}

let node: FakeNode;
beforeAll(async () => {
  node = await startFakeNode(routes);
});
afterAll(() => node[Symbol.asyncDispose]());
beforeEach(() => {
  calls.length = 0;
  mayList = true;
});

const cloud = (line: string, stdin = "") =>
  runCli(["cloud", ...line.split(" ")], { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_x" }, stdin);

const AGENT = "--principal-type api_key --principal-id";
/** Command lines in which NAME stands for a key (agent) or a policy (daily-cap). */
const KEY_LINES = [
  "keys get NAME",
  "keys update NAME --name x",
  "keys rotate NAME",
  "keys revoke NAME",
  `policy bind pol_1 ${AGENT} NAME`,
  `policy unbind pol_1 ${AGENT} NAME --yes`,
  `policy for-principal ${AGENT} NAME`,
  `policy effective ${AGENT} NAME`,
  `policy simulate pol_1 ${AGENT} NAME`,
  "policy explain --model gpt-4o --key NAME",
  "budget create --name x --window day --limit-micro-usd 5 --bind-key NAME",
  "guardrail create --name x --max-request-tokens 5 --bind-key NAME",
  "rate-limit create --name x --window-secs 5 --max-requests 5 --bind-key NAME",
  "preset create --name x --spec - --bind-key NAME",
];
const POLICY_LINES = [
  "policy get NAME",
  "policy update NAME --name x",
  "policy delete NAME --yes",
  "policy enable NAME",
  "policy disable NAME",
  `policy bind NAME ${AGENT} key_1`,
  "policy unbind NAME bnd_1 --yes",
  "policy bindings NAME",
  "policy simulate NAME",
  ...["budget", "guardrail", "rate-limit", "preset"].flatMap((kind) => [
    `${kind} get NAME`,
    `${kind} update NAME --name x`,
    `${kind} delete NAME --yes`,
  ]),
];
const PRESET = '{"budget": {"window": "day", "limit_micro_usd": 5}}';

describe("a name is accepted wherever an id is", () => {
  it.each(KEY_LINES)("%s", async (line) => {
    await cloud(line.replace("NAME", "agent"), PRESET);
    expect(calls).toEqual([expect.stringContaining('"key_agent"')]);
  });

  it.each(POLICY_LINES)("%s", async (line) => {
    await cloud(line.replace("NAME", "daily-cap"));
    expect(calls).toEqual([expect.stringContaining('"pol_cap"')]);
  });

  it("namespace restore NAME, among the deleted ones", async () => {
    const operator = { ROUTEPLANE_URL: node.url, ROUTEPLANE_OPERATOR_KEY: "rpo_live_x" };
    await runCli(["cloud", "namespace", "restore", "staging"], operator);
    expect(calls).toEqual(['RestoreNamespace {"namespace":"ns_gone"}']);
    const several = await runCli(["cloud", "namespace", "restore", "old"], operator);
    expect(several).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('several deleted namespaces are named "old": ns_old1, ns_old2'),
    });
  });

  it("as a principal, for the namespace that the key is bound to and for no other", async () => {
    await cloud("policy effective --principal-type namespace --principal-id default");
    expect(calls).toEqual([expect.stringContaining('"principalId":"ns_1"')]);
    expect(await cloud("policy effective --principal-type namespace --principal-id staging")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no namespace "staging" here: the credential in use is bound to default (ns_1)'),
    });
    expect(calls).toHaveLength(1);
  });

  it("by every command that takes the id of a key, a policy or a principal", async () => {
    const lines = new Set([...KEY_LINES, ...POLICY_LINES].map((line) => line.split(" ").slice(0, 2).join(" ")));
    const takers = (await commandsOf("cloud")).filter(({ texts }) =>
      texts.some((text) => /key_…|pol_…|bind it to, with/.test(text)),
    );
    expect(takers.map(({ path }) => path).filter((path) => !lines.has(path))).toEqual([
      "policy edit",
      "audit list",
      "audit export",
    ]);
    expect(
      takers.flatMap(({ texts }) => texts).filter((text) => /^Id of the (?:key|policy|principal)/.test(text)),
    ).toEqual([]);
  });
});

/** Commands below a top-level command, with the texts of their arguments and options. */
async function commandsOf(name: string): Promise<readonly { path: string; texts: readonly string[] }[]> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const unused = () => {
    throw new Error("help needs no node");
  };
  const output = createOutput(() => modeOf(undefined), stdout, stderr);
  const streams = { stdin, stdout, stderr, output };
  const program = createProgram({
    argv: [],
    settings: readSettings({}),
    ...streams,
    url: unused,
    connect: unused,
    capture: unused,
    changeSettings: unused,
    setExitCode: unused,
  });
  await loadAllCommands(program);
  const below = (command: Command, path: string): { path: string; texts: readonly string[] }[] => [
    {
      path,
      texts: [...command.registeredArguments, ...command.options].map(({ description }) => description),
    },
    ...command.commands.flatMap((child) => below(child, `${path} ${child.name()}`.trim())),
  ];
  return program.commands.filter((command) => command.name() === name).flatMap((command) => below(command, ""));
}

describe("a name", () => {
  it("never wins over an id", async () => {
    await cloud("keys revoke key_agent");
    await cloud("policy enable pol_cap");
    expect(calls).toEqual([expect.stringContaining('"key_agent"'), expect.stringContaining('"pol_cap"')]);
  });

  it("of several keys is refused with the ids of all, before anything is changed", async () => {
    for (const line of KEY_LINES) {
      expect(await cloud(line.replace("NAME", "twin"), PRESET)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining('several keys are named "twin": key_twin1 (revoked), key_twin2'),
      });
    }
    expect(calls).toEqual([]);
  });

  it("means the exact match if other keys differ only in case", async () => {
    await cloud("keys get bot");
    expect(calls).toEqual([expect.stringContaining('"key_lower"')]);
    expect(await cloud("keys get BOT")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("key_upper, key_lower"),
    });
  });

  it("that does not exist is refused, with similar names", async () => {
    expect(await cloud("keys revoke agnet")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no key "agnet" in this namespace; did you mean agent (key_agent)?'),
    });
    expect(await cloud("budget delete dayly-cap --yes")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no budget "dayly-cap" in this namespace; did you mean daily-cap (pol_cap)?'),
    });
    expect(calls).toEqual([]);
  });

  it("of a policy of another kind is not found by the commands of a kind", async () => {
    for (const line of ["budget get cards", "budget update cards --name x", "budget delete cards --yes"]) {
      expect(await cloud(line)).toMatchObject({
        code: 1,
        stderr: 'error: no budget "cards" in this namespace\n`routeplane cloud budget list` shows all of them.\n',
      });
    }
    await cloud("guardrail get cards");
    expect(calls).toEqual([expect.stringContaining('"pol_cards"')]);
  });

  it.each([
    ["namespace", "namespace get prd"],
    ["namespace", "namespace rename prd prod"],
    ["namespace", "namespace suspend prd"],
    ["namespace", "namespace resume prd"],
    ["namespace", "namespace delete prd --yes"],
    ["namespace", "keys mint --namespace prd --name ci --scope keys:read"],
    ["namespace", "audit list --namespace prd"],
    ["account", "account get prd"],
    ["account", "account rename prd prod"],
    ["account", "namespace create staging --account prd"],
    ["account", "operator mint --name ci --scope audit:read --account prd"],
  ])("that the node does not find is in the error, with the kind %s: %s", async (noun, line) => {
    const environment = { ROUTEPLANE_URL: node.url, ROUTEPLANE_OPERATOR_KEY: "rpo_live_x" };
    expect(await runCli(["cloud", ...line.split(" ")], environment)).toEqual({
      code: 1,
      stdout: "",
      stderr: `error: no ${noun} "prd" here\n\`routeplane cloud ${noun} list\` shows all that you can see.\n`,
    });
  });

  it("cannot be looked up without the scope to list, which is named", async () => {
    mayList = false;
    const error = await cloud("keys revoke agent");
    expect(error).toMatchObject({ code: 4, stderr: expect.stringContaining("needs the scope keys:read") });
    expect(await cloud("policy enable daily-cap")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("needs the scope policy:read"),
    });
    await cloud("keys revoke key_agent");
    expect(calls).toEqual([expect.stringContaining('"key_agent"')]);
  });
});
