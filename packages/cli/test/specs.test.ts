import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import {
  BudgetService,
  GuardrailService,
  PolicyKind,
  PolicyService,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { refusal, startFakeNode } from "./fake-node.ts";

/** Settings with an address where nothing listens: every call of a node fails. */
const NOWHERE = {
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: "http://127.0.0.1:1",
  ROUTEPLANE_API_KEY: "rp_live_x",
};
const as = (url: string) => ({ ...NOWHERE, ROUTEPLANE_URL: url });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-specs-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(folder, `${Math.random()}.json`);
  await writeFile(path, text);
  return path;
}

const PATTERN = { name: "a", pattern: "b" };
const WINDOW = { window_secs: 60 };

describe("an invalid spec exits with 2, with its path and the rule, and calls no node", () => {
  it.each<[kind: string, spec: unknown, message: string]>([
    [
      "budget",
      { ...WINDOW, max_requests: 1 },
      "spec.window_secs: is not known: a budget has window, time_zone, limit_micro_usd",
    ],
    ["budget", [], "spec: must be an object"],
    ["budget", null, "spec: must be an object"],
    ["budget", { window: "year", limit_micro_usd: 1 }, "spec.window: must be one of hour, day, week, month, total"],
    [
      "budget",
      { window: "month", time_zone: "UTC", limit_micro_usd: 1 },
      "spec.time_zone: is for the windows calendar_day and calendar_month alone",
    ],
    [
      "budget",
      { window: "calendar_day", time_zone: "Mars/Olympus", limit_micro_usd: 1 },
      "spec.time_zone: must be the name of a time zone, e.g. Europe/Berlin",
    ],
    ["budget", { window: "calendar_day", time_zone: null, limit_micro_usd: 1 }, "spec.time_zone: must be a text"],
    ["budget", { window: "day" }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["budget", { window: "day", limit_micro_usd: 0 }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["budget", { window: "day", limit_micro_usd: -1 }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["budget", { window: "day", limit_micro_usd: 0.5 }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["budget", { window: "day", limit_micro_usd: 1e30 }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["budget", { window: "day", limit_micro_usd: "5" }, "spec.limit_micro_usd: must be a whole number from 1"],
    ["rate_limit", WINDOW, "spec: must set at least one of max_requests, max_tokens and max_concurrent"],
    ["rate_limit", { max_requests: 1 }, "spec.window_secs: must be a whole number from 1 to 2592000"],
    ["rate_limit", { ...WINDOW, max_concurrent: 100_001 }, "spec.max_concurrent: must be a whole number from 1 to"],
    ["guardrail", {}, "spec: must set at least one of model_allow"],
    ["guardrail", { model_allow: "echo" }, "spec.model_allow: must be a list"],
    ["guardrail", { model_deny: ["a", 1] }, "spec.model_deny[1]: must be a text"],
    ["guardrail", { allow_streaming: "no" }, "spec.allow_streaming: must be true or false"],
    ["guardrail", { uninspectable: "redact" }, "spec.uninspectable: must be one of block, pass"],
    ["guardrail", { service_tier_allow: ["turbo"] }, "spec.service_tier_allow[0]: must be one of auto, default"],
    ["guardrail", { modality_allow: "text" }, "spec.modality_allow: must be a list"],
    ["guardrail", { hosted_tool_allow: ["bing"] }, "spec.hosted_tool_allow[0]: must be one of web_search"],
    ["guardrail", { content_patterns: [] }, "spec.content_patterns: must hold at least one pattern"],
    [
      "guardrail",
      { content_patterns: [PATTERN, PATTERN, { ...PATTERN, foo: 1 }] },
      "spec.content_patterns[2].foo: is not known: a pattern has name, pattern, action, applies_to",
    ],
    ["guardrail", { content_patterns: [{ ...PATTERN, action: "hide" }] }, "action: must be one of block, redact"],
    ["guardrail", { content_patterns: [{ name: "a" }] }, "spec.content_patterns[0].pattern: must be a text"],
    ["preset", {}, "spec: must set at least one of guardrail, rate_limit, budget"],
    ["preset", { guardrail: { content_patterns: [{ foo: 1 }] } }, "spec.guardrail.content_patterns[0].foo: is not"],
    [
      "preset",
      { budget: { window: "total", time_zone: "UTC", limit_micro_usd: 1 } },
      "spec.budget.time_zone: is for the windows calendar_day and calendar_month alone",
    ],
    ["preset", { rate_limit: WINDOW }, "spec.rate_limit: must set at least one of"],
  ])("%s %j", async (kind, spec, message) => {
    const source = await file(JSON.stringify(spec));
    const create = ["cloud", "policy", "create", "--name", "x", "--kind", kind, "--spec", source];
    const typed = ["cloud", kind.replace("_", "-"), "create", "--name", "x", "--spec", source];
    for (const argv of [create, typed]) {
      const { code, stdout, stderr } = await runCli(argv, NOWHERE);
      expect(stderr).toContain(message);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    }
  });

  it("reports field and rule in JSON", async () => {
    const source = await file('{"window": "day", "limit": 1}');
    const argv = ["cloud", "policy", "create", "--name", "x", "--kind", "budget", "--spec", source, "--json"];
    const { stderr } = await runCli(argv, NOWHERE);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { reason: "FIELD_INVALID", fields: [{ field: "spec.limit", rule: expect.stringContaining("not known") }] },
    });
  });
});

describe("the source of a spec", () => {
  const create = (source: string) => ["cloud", "policy", "create", "--name", "x", "--kind", "budget", "--spec", source];

  it("must be JSON, neither empty nor too large, and give no name twice", async () => {
    for (const [source, message] of [
      [await file('{"window": "day",'), "is not JSON"],
      [await file('{"window": "day", "limit_micro_usd": 5, "limit_micro_usd": 9}'), 'gives "limit_micro_usd" twice'],
      [await file('{"a": [{"b": {"model_deny": [], "model\\u005fdeny": []}}]}'), 'gives "model_deny" twice'],
      [await file(" \n"), "is empty"],
      ["/dev/zero", "larger than any spec"],
    ] as const) {
      const { code, stderr } = await runCli(create(source), NOWHERE);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    }
  });

  it("must be a readable file, or the command exits with 1", async () => {
    for (const source of ["/nonexistent/spec.json", folder]) {
      const { code, stderr } = await runCli([...create(source), "--json"], NOWHERE);
      expect({ code, error: JSON.parse(stderr) }).toMatchObject({
        code: 1,
        error: { error: { reason: "FILE_UNREADABLE" } },
      });
    }
  });

  it("can be standard input, with or without a byte order mark", async () => {
    await using node = await startFakeNode(
      (router) =>
        void router.service(PolicyService, {
          createPolicy: ({ name, spec }) => ({
            policy: { id: "pol_1", name, kind: PolicyKind.BUDGET, ...(spec && { spec }) },
          }),
        }),
    );
    const spec = { window: "day", limit_micro_usd: 5 };
    const { code, stdout } = await runCli([...create("-"), "--json"], as(node.url), `\ufeff${JSON.stringify(spec)}`);
    expect({ code, view: JSON.parse(stdout) }).toMatchObject({ code: 0, view: { name: "x", kind: "budget", spec } });
  });
});

describe("flags", () => {
  it.each([
    [
      "budget without its flags",
      ["budget", "create", "--name", "x"],
      "give --window and --limit-usd or --limit-micro-usd, or --spec",
    ],
    [
      "time zone beside a rolling window",
      ["budget", "create", "--name", "x", "--window", "month", "--time-zone", "UTC", "--limit-usd", "1"],
      "--time-zone needs --window calendar_day or calendar_month",
    ],
    [
      "time zone of an update to a rolling window",
      ["budget", "update", "x", "--window", "total", "--time-zone", "UTC"],
      "--time-zone needs --window calendar_day or calendar_month",
    ],
    ...["Mars/Olympus", "GMT+25", "+02:00", "x".repeat(101), ""].map((name): [string, string[], string] => [
      `unknown time zone ${name.slice(0, 20)}`,
      ["budget", "create", "--name", "x", "--window", "calendar_day", "--limit-usd", "1", "--time-zone", name],
      "the name of a time zone",
    ]),
    [
      "time zone of a mint without a window",
      ["keys", "mint", "--name", "x", "--scope", "inference:*", "--limit-usd", "1", "--time-zone", "UTC"],
      "--time-zone needs --window calendar_day or calendar_month",
    ],
    ["rate limit without a maximum", ["rate-limit", "create", "--name", "x", "--window-secs", "1"], "at least one of"],
    ["guardrail without a rule", ["guardrail", "create", "--name", "x"], "give at least one of --model-allow"],
    ["preset without a part", ["preset", "create", "--name", "x"], "give at least one of --guardrail"],
    [
      "preset of standard input twice",
      ["preset", "create", "--name", "x", "--guardrail", "-", "--budget", "-"],
      "once",
    ],
    [
      "flags beside a spec",
      ["budget", "create", "--name", "x", "--window", "day", "--spec", "-"],
      "either that or flags",
    ],
    ["applies-to alone", ["guardrail", "create", "--name", "x", "--applies-to", "both"], "give --block or --redact"],
    ["pattern without a name", ["guardrail", "create", "--name", "x", "--block", "=a"], "a name, = and a pattern"],
    ["window of zero", ["rate-limit", "create", "--name", "x", "--window-secs", "0"], "from 1 to 2592000"],
    ["tokens overflowing", ["rate-limit", "update", "p", "--max-tokens", "9".repeat(20)], "from 1 to 9000000000000000"],
    ["nothing to update", ["preset", "update", "pol_1"], "nothing to change"],
    ["nothing to update in a policy", ["policy", "update", "pol_1"], "nothing to change"],
    ["blank etag", ["policy", "update", "pol_1", "--name", "x", "--etag", " "], "must be an etag"],
    ["create without kind", ["policy", "create", "--name", "x", "--spec", "-"], "--kind"],
    ["for-principal without one", ["policy", "for-principal", "--principal-type", "api_key"], "--principal-id"],
  ])("%s: ends with 2", async (_, argv, message) => {
    const { code, stdout, stderr } = await runCli(["cloud", ...argv], NOWHERE);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("of a guardrail become its rules; an empty list of models allows none", async () => {
    const received: unknown[] = [];
    await using node = await startFakeNode(
      (router) =>
        void router.service(GuardrailService, {
          createGuardrail: ({ name, spec }) => {
            received.push(spec);
            return { policy: { id: "pol_1", name, kind: PolicyKind.GUARDRAIL } };
          },
        }),
    );
    const flags = ["--model-allow", "", "--model-deny", "a, b", "--model-deny", "c", "--allow-streaming", "false"];
    const patterns = ["--block", "x=a=b", "--redact", "y=c", "--applies-to", "response", "--uninspectable", "pass"];
    const services = ["--service-tier-allow", "auto, flex", "--modality-allow", "", "--hosted-tool-allow", "mcp"];
    const rules = ["--max-request-tokens", "9", ...flags, ...patterns, ...services];
    const argv = ["cloud", "guardrail", "create", "--name", "x", ...rules];
    expect((await runCli(argv, as(node.url))).code).toBe(0);
    expect(received).toMatchObject([
      {
        modelAllow: { models: [] },
        modelDeny: { models: ["a", "b", "c"] },
        maxRequestTokens: 9n,
        allowStreaming: false,
        contentPatterns: [
          { name: "x", pattern: "a=b", action: 1, appliesTo: 2 },
          { name: "y", pattern: "c", action: 2, appliesTo: 2 },
        ],
        uninspectable: 2,
        serviceTierAllow: { tiers: ["auto", "flex"] },
        modalityAllow: { modalities: [] },
        hostedToolAllow: { tools: ["mcp"] },
      },
    ]);
  });
});

describe("a fault that the node finds in a spec", () => {
  it("is reported with its path in the written spec", async () => {
    const field = "spec.guardrail.model_allow.models[0]";
    await using node = await startFakeNode((router) => {
      const refuse = () => {
        throw refusal(Code.InvalidArgument, "FIELD_INVALID", `${field}: must not be blank`, {}, [
          { field, description: "must not be blank" },
        ]);
      };
      router.service(PolicyService, { createPolicy: refuse });
      router.service(BudgetService, {});
    });
    const source = await file('{"model_allow": [" "]}');
    const argv = ["cloud", "policy", "create", "--name", "x", "--kind", "guardrail", "--spec", source, "--json"];
    const { code, stderr } = await runCli(argv, as(node.url));
    expect({ code, error: JSON.parse(stderr).error }).toMatchObject({
      code: 1,
      error: { message: "spec.model_allow[0]: must not be blank", fields: [{ field: "spec.model_allow[0]" }] },
    });
  });
});

it("lists the bindings of a policy with the budget use of each, by one call per page", async () => {
  const bindings = ["key_1", "key_2"].map((principalId, n) => ({
    id: `bnd_${n}`,
    policyId: "pol_1",
    principalType: PrincipalType.API_KEY,
    principalId,
  }));
  const calls: string[] = [];
  await using fakeNode = await startFakeNode(
    (router) =>
      void router.service(PolicyService, {
        listBindings: ({ policyId }) => {
          calls.push(policyId);
          const use = { spentMicroUsd: 1_250_000n, reservedMicroUsd: 500_000n, remainingMicroUsd: 3_250_000n };
          return { bindings, budgetUses: { bnd_0: use } };
        },
      }),
  );
  const list = async (...format: string[]) =>
    (await runCli(["cloud", "policy", "bindings", "pol_1", ...format], as(fakeNode.url))).stdout;
  expect(await list("-o", "table")).toMatch(/^bnd_0 .*\$1\.25 spent, \$0\.50 reserved, \$3\.25 left\nbnd_1 .*key_2$/m);
  const json = JSON.parse(await list("--json")) as { data: readonly object[] };
  const use = { spent_micro_usd: 1_250_000, reserved_micro_usd: 500_000, remaining_micro_usd: 3_250_000 };
  expect(json.data).toMatchObject([
    { id: "bnd_0", budget_use: use },
    { id: "bnd_1", budget_use: null },
  ]);
  expect(calls).toEqual(["pol_1", "pol_1"]);
});

describe("deleting a policy", () => {
  const bindings = Array.from({ length: 7 }, (_, n) => ({
    id: `bnd_${n}`,
    policyId: "pol_1",
    principalType: PrincipalType.API_KEY,
    principalId: `key_${n}`,
  }));
  const node = (received: unknown[]) =>
    startFakeNode(
      (router) =>
        void router.service(PolicyService, {
          listBindings: () => ({ bindings }),
          deletePolicy: (request) => {
            received.push(request);
            return { unbound: bindings };
          },
        }),
    );

  it("without a terminal needs --yes, and names the bindings", async () => {
    const received: unknown[] = [];
    await using fakeNode = await node(received);
    const { code, stderr } = await runCli(["cloud", "policy", "delete", "pol_1"], as(fakeNode.url));
    expect(code).toBe(2);
    expect(stderr).toContain("api_key key_0, api_key key_1, api_key key_2, api_key key_3, api_key key_4 and 2 more");
    expect(stderr).toContain("--yes");
    expect(received).toEqual([]);
  });

  it("or unbinding it without a terminal and --yes names the loss, and changes nothing", async () => {
    const received: unknown[] = [];
    await using fakeNode = await startFakeNode(
      (router) =>
        void router.service(PolicyService, {
          listBindings: () => ({ bindings }),
          unbindPolicy: (request) => {
            received.push(request);
            return { binding: bindings[3]! };
          },
        }),
    );
    const argv = ["cloud", "policy", "unbind", "pol_1", "bnd_3"];
    for (const json of [[], ["--json"]]) {
      const { code, stdout, stderr } = await runCli([...argv, ...json], as(fakeNode.url));
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toContain("pol_1 from api_key key_3");
      expect(stderr).toContain("--yes");
    }
    expect(received).toEqual([]);
    expect(await runCli([...argv, "--yes"], as(fakeNode.url))).toMatchObject({ code: 0 });
    expect(received).toMatchObject([{ policyId: "pol_1", bindingId: "bnd_3" }]);
  });

  it("or unbinding it from several principals, one or all asks once for all of them, and prints a list", async () => {
    const received: unknown[] = [];
    await using fakeNode = await startFakeNode(
      (router) =>
        void router.service(PolicyService, {
          listBindings: () => ({ bindings }),
          unbindAll: (request) => {
            received.push(request);
            return { unbound: bindings.slice(0, 2) };
          },
        }),
    );
    const unbind = ["cloud", "policy", "unbind", "pol_1"];
    const ofKey = ["--principal-type", "api_key", "--principal-id", "key_2"];
    for (const [choice, loss] of [
      [["bnd_1", "bnd_2"], "pol_1 from api_key key_1, api_key key_2?"],
      [ofKey, "pol_1 from api_key key_2?"],
      [["--all"], "pol_1 from api_key key_0, api_key key_1, api_key key_2, api_key key_3, api_key key_4 and 2 more?"],
    ] as const) {
      const { code, stderr } = await runCli([...unbind, ...choice], as(fakeNode.url));
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(loss.slice(0, -1)) });
      const { stdout } = await runCli([...unbind, ...choice, "--yes", "--json"], as(fakeNode.url));
      expect(JSON.parse(stdout)).toMatchObject({ data: [{ id: "bnd_0" }, { id: "bnd_1" }], next_page_token: null });
    }
    expect(received).toMatchObject([
      { policyId: "pol_1", bindingIds: ["bnd_1", "bnd_2"], all: false },
      { bindingIds: [], principalId: "key_2", all: false },
      { bindingIds: [], all: true },
    ]);
    for (const wrong of [[], ["bnd_1", "--all"], [...ofKey, "--all"], ofKey.slice(0, 2), ["bnd_1", ...ofKey]]) {
      expect(await runCli([...unbind, ...wrong, "--yes"], as(fakeNode.url))).toMatchObject({ code: 2, stdout: "" });
    }
    expect(received).toHaveLength(3);
  });

  it("with --yes names the removed bindings", async () => {
    const received: unknown[] = [];
    await using fakeNode = await node(received);
    const { code, stdout } = await runCli(["cloud", "policy", "delete", "pol_1", "--yes", "--json"], as(fakeNode.url));
    expect({ code, view: JSON.parse(stdout) }).toMatchObject({
      code: 0,
      view: { id: "pol_1", unbound: { length: 7 } },
    });
    expect(received).toMatchObject([{ id: "pol_1", unbind: true }]);
  });
});
