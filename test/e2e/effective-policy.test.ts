import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf } from "./json-cli.ts";

let node: TestNode;
let cli: Cli;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
});
afterAll(() => node.remove());

interface Minted {
  readonly id: string;
  readonly token: string;
}

const mint = (as: Cli, name: string) =>
  as.json<Minted>("cloud", "keys", "mint", "--name", name, "--scope", "keys:*,policy:*,inference:*");
const effective = (id: string, type = "api_key") => [
  "cloud",
  "policy",
  "effective",
  "--principal-type",
  type,
  "--principal-id",
  id,
];
const onKey = (id: string) => ["--principal-type", "api_key", "--principal-id", id];

/** Calls the management API with the node's root key. */
async function manage<T>(method: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
  const address = `${node.url}/routeplane.policy.v1.PolicyService/${method}`;
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

describe("cloud policy effective", () => {
  it("shows the policies of a key, the ancestor that each is inherited from, and the consumption", async () => {
    const parent = await mint(cli, "parent");
    const child = await mint(cliAs(node, parent.token), "child");
    const budget = ["--name", "cap", "--window", "total", "--limit-micro-usd", "5000000"];
    const cap = await cli.json<{ id: string }>("cloud", "budget", "create", ...budget);
    const bound = await cli.json<{ id: string }>("cloud", "policy", "bind", cap.id, ...onKey(parent.id));
    const pattern = { name: "card", pattern: "[0-9]{16}", action: "PATTERN_ACTION_REDACT" };
    const guardrail = { modelAllow: { models: ["echo"] }, modelDeny: { models: ["o1*"] }, contentPatterns: [pattern] };
    const spec = { guardrail: { ...guardrail, allowStreaming: false, maxRequestTokens: "900" } };
    const { policy } = await manage<{ policy: { id: string } }>("CreatePolicy", { name: "strict", spec });
    const principal = { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: child.id };
    const { binding } = await manage<{ binding: { id: string } }>("BindPolicy", {
      policyId: policy.id,
      ...principal,
      mode: "BINDING_MODE_SHADOW",
    });
    const headers = { authorization: `Bearer ${child.token}`, "content-type": "application/json" };
    const body = JSON.stringify({ model: "echo", max_tokens: 5, messages: [{ role: "user", content: "one two" }] });
    expect((await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body })).status).toBe(200);

    const source = (mode: string, [id, name]: [string, string], bindingId: string, on: string) => ({
      policy_id: id,
      policy_name: name,
      binding_id: bindingId,
      principal_type: "api_key",
      principal_id: on,
      mode,
    });
    const sources = [source("shadow", [policy.id, "strict"], binding.id, child.id)];
    const shown = await cli.json<{ lineage: string[]; budgets: Record<string, number>[] }>(...effective(child.id));
    expect(shown).toEqual({
      principal_type: "api_key",
      principal_id: child.id,
      lineage: [expect.stringMatching(/^key_/), parent.id, child.id],
      guardrail: null,
      shadow_guardrail: {
        model_allow: [{ models: ["echo"], sources }],
        model_deny: [{ model: "o1*", sources }],
        max_request_tokens: { tokens: 900, sources },
        allow_streaming: { allowed: false, sources },
        content_patterns: [{ name: "card", pattern: "[0-9]{16}", action: "redact", applies_to: "both", sources }],
        uninspectable_request: null,
        uninspectable_response: null,
        service_tier_allow: [],
        modality_allow: [],
        hosted_tool_allow: [],
      },
      budgets: [
        {
          ...source("enforce", [cap.id, "cap"], bound.id, parent.id),
          window: "total",
          limit_micro_usd: 5_000_000,
          spent_micro_usd: expect.any(Number),
          reserved_micro_usd: expect.any(Number),
          leased_micro_usd: expect.any(Number),
          held_back_micro_usd: expect.any(Number),
          remaining_micro_usd: expect.any(Number),
          frees_up_at: null,
        },
      ],
      rate_limits: [],
    });
    const [used = {}] = shown.budgets;
    expect(used["spent_micro_usd"]! + used["reserved_micro_usd"]!).toBeGreaterThan(0);
    expect(used["spent_micro_usd"]! + used["reserved_micro_usd"]! + used["remaining_micro_usd"]!).toBe(5_000_000);

    const { stdout } = await cli(...effective(child.id));
    expect(stdout).toContain(`keys above  ${shown.lineage.slice(0, -1).join(" > ")}`);
    expect(stdout).toMatch(new RegExp(`^5000000 micro-USD .* in total .* enforce +cap +${parent.id}$`, "m"));
    expect(stdout).toMatch(/^redact both +card: \[0-9\]\{16\} +shadow +strict +this key$/m);
  });

  it("shows that nothing applies, and refuses a principal that it cannot read", async () => {
    const { id } = await mint(cli, "free");
    const { exitCode, stderr } = await cli(...effective(id));
    expect([exitCode, stderr]).toEqual([0, "No policy applies.\n"]);
    expect(await cli.error(...effective("key_00000000000000000000000000"))).toMatchObject({
      exitCode: 1,
      code: "not_found",
    });
    expect(await cli("cloud", "policy", "effective", "--principal-id", id)).toMatchObject({ exitCode: 0 });
    expect(await cli.error("cloud", "policy", "effective")).toMatchObject({ exitCode: 2 });
    const { token } = await cli.json<Minted>("cloud", "keys", "mint", "--name", "blind", "--scope", "keys:read");
    expect(await cliAs(node, token).error(...effective(id))).toMatchObject({ exitCode: 4, code: "permission_denied" });
  });
});
