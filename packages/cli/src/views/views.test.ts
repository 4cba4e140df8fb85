import { PassThrough } from "node:stream";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { KeySchema, WhoAmIResponseSchema } from "@routeplane/contracts/auth";
import {
  BindingMode,
  BindingSchema,
  type BudgetSpecSchema,
  BudgetWindow,
  EffectivePolicySchema,
  PatternAction,
  PatternScope,
  Uninspectable,
  PolicyKind,
  PolicySchema,
  PolicySpecSchema,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { GetUsageResponseSchema, LoggedRequestSchema, RequestStatus } from "@routeplane/contracts/usage";
import { PROTO_BUDGET_WINDOWS, PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import { describe, expect, it } from "vitest";
import { styleFor } from "../output/style.ts";
import { fromProtoIdentity } from "./identity.ts";
import { fromProtoKey } from "./keys/key.ts";
import { allPages } from "./list.ts";
import { BUDGET_COLUMNS, POLICY_COLUMNS, fromProtoBinding, fromProtoPolicy } from "./policies/policy.ts";
import { effectivePolicyText, fromProtoEffectivePolicy } from "./policies/effective-policy.ts";
import { fromProtoSpec, specText } from "./policies/spec.ts";

type PolicySpecInit = Exclude<MessageInitShape<typeof PolicySpecSchema>, { $typeName: string }>;
import { fromProtoRequest } from "./requests/request.ts";
import { fromProtoUsage } from "./usage.ts";
import { UNKNOWN_LATENCIES } from "../../test/unknown-latencies.ts";

const AT = "2026-05-01T00:00:00.000Z";
const at = timestampFromDate(new Date(AT));

/** The field names are a contract with scripts: each test lists all of them. */
describe("--json", () => {
  it("shows a key, with null for absent fields", () => {
    const key = create(KeySchema, {
      id: "key_1",
      name: "n",
      prefix: "rp_live_a",
      scopes: ["keys:read"],
      createdAt: at,
    });
    expect(fromProtoKey(key)).toEqual({
      id: "key_1",
      name: "n",
      prefix: "rp_live_a",
      scopes: ["keys:read"],
      parent_id: null,
      created_at: AT,
      expires_at: null,
      last_used_at: null,
      revoked_at: null,
      revoked_reason: null,
    });
  });

  it("shows a budget with its window and limit", () => {
    const policy = create(PolicySchema, {
      id: "pol_1",
      name: "daily-cap",
      kind: PolicyKind.BUDGET,
      spec: { kind: { case: "budget", value: { window: BudgetWindow.DAY, limitMicroUsd: 5_000_000n } } },
      createdAt: at,
      etag: "v1",
      createdBy: "key_1",
      bindingCount: 7,
      keyBindingCount: 6,
      shadowBindingCount: 2,
      bindings: [
        {
          binding: {
            id: "bnd_1",
            principalType: PrincipalType.NAMESPACE,
            principalId: "ns_1",
            mode: BindingMode.ENFORCE,
          },
          budgetUse: {
            spentMicroUsd: 3n,
            reservedMicroUsd: 2n,
            leasedMicroUsd: 1n,
            remainingMicroUsd: 4_999_995n,
            freesUpAt: at,
          },
        },
      ],
    });
    expect(fromProtoPolicy(policy)).toEqual({
      id: "pol_1",
      name: "daily-cap",
      kind: "budget",
      spec: { window: "day", limit_micro_usd: 5_000_000 },
      disabled_at: null,
      etag: "v1",
      created_by: "key_1",
      binding_count: 7,
      key_binding_count: 6,
      shadow_binding_count: 2,
      bound_to: [
        {
          binding_id: "bnd_1",
          principal_type: "namespace",
          principal_id: "ns_1",
          mode: "enforce",
          budget_use: {
            spent_micro_usd: 3,
            reserved_micro_usd: 2,
            leased_micro_usd: 1,
            held_back_micro_usd: 0,
            remaining_micro_usd: 4_999_995,
            frees_up_at: AT,
          },
        },
      ],
    });
  });

  it("shows the time zone of a calendar window, and no time zone for other windows", () => {
    const shown = (value: MessageInitShape<typeof BudgetSpecSchema>) =>
      fromProtoSpec(create(PolicySpecSchema, { kind: { case: "budget", value } }));
    const calendar = { window: BudgetWindow.CALENDAR_MONTH, timeZone: "Europe/Berlin", limitMicroUsd: 5_000_000n };
    const spec = shown(calendar);
    expect(spec).toStrictEqual({ window: "calendar_month", time_zone: "Europe/Berlin", limit_micro_usd: 5_000_000 });
    expect(specText(spec)).toBe("5000000 micro-USD ($5.00) per calendar_month Europe/Berlin");
    expect(shown({ window: BudgetWindow.DAY, limitMicroUsd: 5n })).toStrictEqual({ window: "day", limit_micro_usd: 5 });
    const effective = create(EffectivePolicySchema, {
      principalType: PrincipalType.API_KEY,
      budgets: [
        { source: { policyName: "books" }, spec: calendar },
        { source: {}, spec: { window: BudgetWindow.DAY } },
      ],
    });
    const view = fromProtoEffectivePolicy(effective);
    expect(view.budgets[0]).toMatchObject({ window: "calendar_month", time_zone: "Europe/Berlin" });
    expect(view.budgets[1]).not.toHaveProperty("time_zone");
    expect(effectivePolicyText(view, styleFor(new PassThrough()))).toContain(
      "($5.00) per calendar_month Europe/Berlin",
    );
  });

  it("shows specs as they are written, without fields that are not set", () => {
    const shown = (kind: Exclude<PolicySpecInit["kind"], undefined>) =>
      fromProtoSpec(create(PolicySpecSchema, { kind }));
    const pattern = { name: "card", pattern: "\\d{16}", action: PatternAction.REDACT, appliesTo: PatternScope.BOTH };
    const guardrail = {
      modelAllow: { models: [] },
      allowStreaming: false,
      contentPatterns: [pattern],
      uninspectable: Uninspectable.BLOCK,
    };
    const rateLimit = { windowSecs: 60, maxTokens: 9n * 10n ** 15n };
    const toWrittenPath = {
      guardrail: {
        model_allow: [],
        allow_streaming: false,
        content_patterns: [{ name: "card", pattern: "\\d{16}", action: "redact", applies_to: "both" }],
        uninspectable: "block",
      },
      rate_limit: { window_secs: 60, max_tokens: 9e15 },
    };
    expect(shown({ case: "guardrail", value: guardrail })).toEqual(toWrittenPath.guardrail);
    expect(shown({ case: "rateLimit", value: rateLimit })).toEqual(toWrittenPath.rate_limit);
    expect(shown({ case: "preset", value: { guardrail, rateLimit } })).toEqual(toWrittenPath);
    expect(shown({ case: undefined })).toBeNull();
    expect(specText(shown({ case: "preset", value: { guardrail, rateLimit } }))).toBe(
      "allowed models: none; streaming: no; pattern card: redact /\\d{16}/ in request and response; uninspectable content: block; rate limit: 9000000000000000 tokens per 60 s",
    );
  });

  it("shows a binding with its principal's type as the command line spells it", () => {
    const binding = create(BindingSchema, {
      id: "bnd_1",
      policyId: "pol_1",
      principalType: PrincipalType.API_KEY,
      principalId: "key_1",
      mode: BindingMode.SHADOW,
    });
    expect(fromProtoBinding(binding)).toEqual({
      id: "bnd_1",
      policy_id: "pol_1",
      principal_type: "api_key",
      principal_id: "key_1",
      mode: "shadow",
      created_by: null,
    });
  });

  it("shows usage as plain numbers", () => {
    const usage = create(GetUsageResponseSchema, { from: at, to: at, requestCount: 3n, spendMicroUsd: 9n ** 15n });
    expect(fromProtoUsage(usage)).toEqual({
      from: AT,
      to: AT,
      request_count: 3,
      denied_count: 0,
      denied_unlogged_count: 0,
      prompt_tokens: 0,
      completion_tokens: 0,
      spend_micro_usd: 205_891_132_094_649,
      ...UNKNOWN_LATENCIES,
    });
  });

  it("shows a pending request, with null for unknown fields", () => {
    const request = create(LoggedRequestSchema, {
      id: "req_1",
      keyId: "key_1",
      status: RequestStatus.PENDING,
      endpoint: "/v1/chat/completions",
      model: "echo",
      provider: "local",
      reservedMicroUsd: 12n,
      streamed: true,
      createdAt: at,
    });
    expect(fromProtoRequest(request, { namespace: "default", key: (id) => `name of ${id}` })).toEqual({
      id: "req_1",
      key_id: "key_1",
      status: "pending",
      endpoint: "/v1/chat/completions",
      model: "echo",
      provider: "local",
      prompt_tokens: 0,
      completion_tokens: 0,
      cost_micro_usd: 0,
      reserved_micro_usd: 12,
      estimated: false,
      streamed: true,
      http_status: null,
      error_code: null,
      denied_by_policy_id: null,
      denied_by_binding_id: null,
      denied_rule: null,
      shadow_denials: [],
      created_at: AT,
      completed_at: null,
      cached_prompt_tokens: null,
      cache_write_tokens: null,
      prompt_audio_tokens: null,
      completion_audio_tokens: null,
      reasoning_tokens: null,
      service_tier: null,
      upstream_status: null,
      upstream_request_id: null,
      upstream_error: null,
      key_name: "name of key_1",
      namespace_name: "default",
    });
  });

  it("shows an operator as bound to no namespace", () => {
    const identity = { case: "operator" as const, value: { operatorId: "op_1", name: "node", scopes: ["audit:*"] } };
    const response = create(WhoAmIResponseSchema, { account: { id: "acc_1", name: "default" }, identity });
    expect(fromProtoIdentity(response)).toEqual({
      account: { id: "acc_1", name: "default" },
      namespace: null,
      key: null,
      operator: { id: "op_1", name: "node", scopes: ["audit:*"], expires_at: null, grace_ends_at: null },
    });
  });
});

describe("words", () => {
  it("exist for every window and principal type of the contract", () => {
    const known = (values: object): Set<unknown> =>
      new Set(Object.values(values).filter((value) => typeof value === "number"));
    expect(new Set([0, ...Object.values<number>(PROTO_BUDGET_WINDOWS)])).toEqual(known(BudgetWindow));
    expect(new Set([0, ...Object.values<number>(PROTO_PRINCIPAL_TYPES)])).toEqual(known(PrincipalType));
  });
});

describe("a list of budgets", () => {
  const { ENFORCE, SHADOW } = BindingMode;
  const row = (...bound: readonly (readonly [mode: BindingMode, left: bigint])[]) => {
    const bindings = bound.map(([mode, remainingMicroUsd]) => ({
      binding: { principalType: PrincipalType.API_KEY, mode },
      budgetUse: { spentMicroUsd: 9_000_000n - remainingMicroUsd, remainingMicroUsd },
    }));
    const shadowBindingCount = bound.filter(([mode]) => mode === SHADOW).length;
    const counts = { bindingCount: bound.length, keyBindingCount: bound.length, shadowBindingCount };
    const policy = fromProtoPolicy(create(PolicySchema, { kind: PolicyKind.BUDGET, ...counts, bindings }));
    const shown = BUDGET_COLUMNS.filter(({ header }) => ["BOUND TO", "SPENT", "LEFT"].includes(header));
    return shown.map(({ cell }) => cell(policy));
  };

  it("shows the smallest amount left; shadow bindings count only if there are no others", () => {
    expect(row()).toEqual(["not bound", "", ""]);
    expect(row([ENFORCE, 5_000_000n], [ENFORCE, 3_000_000n])).toEqual(["2 keys", "$6.00", "$3.00"]);
    expect(row([ENFORCE, 5_000_000n], [SHADOW, 0n])).toEqual(["2 keys (1 shadow)", "$4.00", "$5.00"]);
    expect(row([SHADOW, 5_000_000n])).toEqual(["1 key (shadow)", "$4.00", "$5.00"]);
  });
});

describe("a list of policies", () => {
  it.each([
    [7, 6, 0, "namespace, 6 keys"],
    [7, 6, 2, "namespace, 6 keys (2 shadow)"],
    [1, 0, 1, "namespace (shadow)"],
    [1000, 1000, 0, "1000 keys"],
  ])("counts %i bindings, %i of keys and %i in shadow mode: %s", (bindingCount, keyBindingCount, shadows, text) => {
    const counts = { bindingCount, keyBindingCount, shadowBindingCount: shadows };
    const policy = fromProtoPolicy(create(PolicySchema, { kind: PolicyKind.RATE_LIMIT, ...counts }));
    expect(POLICY_COLUMNS.find(({ header }) => header === "BOUND TO")?.cell(policy)).toBe(text);
  });
});

describe("lists", () => {
  it("have the rows of every page", async () => {
    const pages: Record<string, { rows: number[]; nextPageToken: string }> = {
      "": { rows: [1, 2], nextPageToken: "p2" },
      p2: { rows: [3], nextPageToken: "" },
    };
    const list = await allPages(
      async ({ pageToken }) => pages[pageToken] ?? { rows: [], nextPageToken: "" },
      (row) => row * 10,
    );
    expect(list).toEqual({ data: [10, 20, 30], next_page_token: null });
  });
});
