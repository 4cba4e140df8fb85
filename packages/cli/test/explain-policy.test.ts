import { KeyService } from "@routeplane/contracts/auth";
import { BindingMode, BudgetWindow, EffectivePolicyService, PrincipalType } from "@routeplane/contracts/policy";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { startFakeNode } from "./fake-node.ts";

const source = (policyName: string, mode = BindingMode.ENFORCE) => ({
  policyId: "pol_1",
  policyName,
  bindingId: "bnd_1",
  principalType: PrincipalType.API_KEY,
  principalId: "key_0",
  mode,
});
const budget = (remainingMicroUsd: bigint, leasedMicroUsd = 0n) => ({
  source: source("daily-cap"),
  spec: { window: BudgetWindow.DAY, limitMicroUsd: 100n },
  remainingMicroUsd,
  leasedMicroUsd,
  freesUpAt: { seconds: 1_777_593_600n, nanos: 0 },
});

/** Runs `policy explain` of a key with this effective policy. */
function explain(effectivePolicy: object, ...options: string[]) {
  return explainServed([], effectivePolicy, ...options);
}

/** Runs `policy explain` of a key with this effective policy at a node that serves these models. */
async function explainServed(models: readonly object[], effectivePolicy: object, ...options: string[]) {
  await using node = await startFakeNode((router) => {
    router.service(KeyService, { listKeys: () => ({ keys: [{ id: "key_1", name: "my-agent" }] }) });
    router.service(EffectivePolicyService, {
      getEffectivePolicy: () => ({ effectivePolicy }),
    });
  }, models);
  const environment = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
  const argv = ["cloud", "policy", "explain", "--key", "my-agent", "--model", "openai/gpt-4o", ...options];
  const [text, json] = [await runCli(argv, environment), await runCli([...argv, "--json"], environment)];
  expect([text.code, json.code]).toEqual([0, 0]);
  return { text: text.stdout, json: JSON.parse(json.stdout) as { objections: readonly { rule: string }[] } };
}

describe("policy explain", () => {
  it("names each rule that would refuse the request, its policy and where it is bound", async () => {
    const guardrail = {
      modelAllow: [{ models: ["claude-*"], sources: [source("only-claude")] }],
      modelDeny: [
        { model: "openai/*", sources: [source("no-openai")] },
        { model: "gpt-3*", sources: [source("no-old")] },
      ],
      allowStreaming: { allowed: false, sources: [source("whole")] },
      maxRequestTokens: { tokens: 100n, sources: [source("short")] },
    };
    const { text, json } = await explain({ guardrail }, "--stream", "--max-tokens", "200");
    expect(json).toMatchObject({ key_id: "key_1", model: "gpt-4o", provider: "openai", refused: true });
    expect(json.objections).toMatchObject([
      { rule: "guardrail.model_deny", policy_name: "no-openai", principal_id: "key_0" },
      { rule: "guardrail.model_allow", policy_name: "only-claude" },
      { rule: "guardrail.allow_streaming", policy_name: "whole" },
      { rule: "guardrail.max_request_tokens", policy_name: "short" },
    ]);
    expect(text).toMatch(/^refused by +guardrail\.model_deny of no-openai on key_0: denies openai\/\*$/m);
    const fitting = await explain(
      { guardrail: { ...guardrail, modelAllow: [], modelDeny: [] } },
      "--max-tokens",
      "100",
    );
    expect(fitting.json).toMatchObject({ refused: false, objections: [] });
  });

  it("reports limits that are used up, but not limits of which slices of gateways are left", async () => {
    const rateLimits = [
      { source: source("slow"), spec: { windowSecs: 60, maxRequests: 2n, maxTokens: 9n }, requests: 2n, tokens: 8n },
    ];
    const used = await explain({ budgets: [budget(0n)], rateLimits });
    expect(used.json.objections.map(({ rule }) => rule)).toEqual(["budget", "rate_limit.max_requests"]);
    expect(used.text).toMatch(/budget of daily-cap on key_0: nothing is left .*; a part is free again at 2026-/);
    expect(used.json).toMatchObject({ refused: true, budget_remaining_micro_usd: 0 });
    const leased = await explain({ budgets: [budget(0n, 40n), budget(70n)] });
    expect(leased.json).toMatchObject({ refused: false, objections: [], budget_remaining_micro_usd: 40 });
  });

  it("names the time zone of a calendar window that is used up, and when the next one begins", async () => {
    const spec = { window: BudgetWindow.CALENDAR_MONTH, timeZone: "Europe/Berlin", limitMicroUsd: 100n };
    const { text } = await explain({ budgets: [{ ...budget(0n), spec }] });
    expect(text).toMatch(/nothing is left of .* per calendar_month Europe\/Berlin; a part is free again at 2026-/);
  });

  it("shows the cost of the cheapest request, and the budgets into which it does not fit", async () => {
    const priced = { id: "gpt-4o", owned_by: "openai", cheapest_request_micro_usd: 41 };
    const budgets = [budget(40n), { ...budget(0n, 41n), source: source("team-cap") }];
    const { text, json } = await explainServed([priced], { budgets });
    expect(json).toMatchObject({
      refused: true,
      cheapest_request_micro_usd: 41,
      objections: [{ rule: "budget", policy_name: "daily-cap" }],
      budgets: [
        { policy_name: "daily-cap", remaining_micro_usd: 40, fits_cheapest_request: false },
        { policy_name: "team-cap", remaining_micro_usd: 41, fits_cheapest_request: true },
      ],
      not_judged: ["what the request costs beyond the cheapest one"],
    });
    expect(text).toMatch(
      /^refused by +budget of daily-cap on key_0: 40 micro-USD .* and the cheapest request costs 41 /m,
    );
    expect(text).toMatch(/^cheapest request +41 micro-USD/m);
    expect(text).toMatch(/^budget +daily-cap on key_0: 40 .* left, the cheapest request does not fit$/m);
    expect(text).toMatch(/^budget +team-cap on key_0: 41 .* left, the cheapest request fits$/m);
  });

  it("says that it does not know a model which the node does not list", async () => {
    const { text, json } = await explainServed([{ id: "echo", owned_by: "echo" }], {});
    const unknown = "whether the model exists, because it is not listed for the key in use";
    expect(json).toMatchObject({ refused: false, not_judged: [unknown] });
    expect(text).toContain(unknown);
  });

  it("applies no budget to a free model, and does not guess an unknown price", async () => {
    const free = await explainServed([{ id: "gpt-4o", owned_by: "openai", cheapest_request_micro_usd: 0 }], {
      budgets: [budget(0n)],
    });
    expect(free.json).toMatchObject({ refused: false, objections: [], budgets: [{ fits_cheapest_request: true }] });
    const unknown = await explain({ budgets: [budget(1n)] });
    expect(unknown.json).toMatchObject({
      refused: false,
      cheapest_request_micro_usd: null,
      budgets: [{ fits_cheapest_request: null }],
      not_judged: ["the cost of the request, because its price is not known"],
    });
    expect(unknown.text).toMatch(/^budget +daily-cap on key_0: 1 micro-USD \(\S+\) left$/m);
  });

  it("reports a rule of a binding in shadow mode without refusing by it", async () => {
    const sources = [source("trial", BindingMode.SHADOW)];
    const { text, json } = await explain({ shadowGuardrail: { modelDeny: [{ model: "gpt-*", sources }] } });
    expect(json).toMatchObject({ refused: false, objections: [{ mode: "shadow" }] });
    expect(text).toMatch(/^reported by +guardrail\.model_deny of trial/m);
  });
});
