import { expect, it } from "vitest";
import { displayWidth, table } from "../output/table.ts";
import { ACCOUNT_COLUMNS } from "./account.ts";
import { KEY_COLUMNS } from "./keys/key.ts";
import { KEY_TREE_COLUMNS } from "./keys/key-tree.ts";
import { OPERATOR_COLUMNS } from "./operator.ts";
import { BINDING_COLUMNS, BUDGET_COLUMNS, POLICY_COLUMNS } from "./policies/policy.ts";
import { REQUEST_COLUMNS } from "./requests/request.ts";

const SUFFIX = "01jxyz0123456789abcdefghjk";
const AT = "2026-05-01T00:00:00.000Z";
const credential = {
  name: "my-agent",
  prefix: "rp_live_01jxyz",
  scopes: ["inference:invoke", "keys:read", "policy:read", "usage:read"],
  parent_id: null,
  created_at: AT,
  expires_at: null,
  revoked_at: null,
  revoked_reason: null,
};
const key = { ...credential, id: `key_${SUFFIX}`, last_used_at: null };
const operator = { ...credential, id: `op_${SUFFIX}`, account_id: `acc_${SUFFIX}` };
const use = {
  spent_micro_usd: 1_234_567,
  reserved_micro_usd: 0,
  leased_micro_usd: 0,
  held_back_micro_usd: 0,
  remaining_micro_usd: 3_765_433,
  frees_up_at: null,
};
const binding = {
  id: `bnd_${SUFFIX}`,
  policy_id: `pol_${SUFFIX}`,
  principal_type: "api_key",
  principal_id: key.id,
  mode: "enforce",
  created_by: null,
};
const policy = {
  id: `pol_${SUFFIX}`,
  name: "daily-cap",
  kind: "rate_limit",
  spec: { window_secs: 60, max_requests: 100, max_tokens: 50_000, max_concurrent: 5 },
  disabled_at: null,
  etag: "v1",
  created_by: null,
  binding_count: 1,
  key_binding_count: 1,
  shadow_binding_count: 0,
  bound_to: [{ ...binding, binding_id: binding.id, budget_use: use }],
};
const request = {
  id: `req_${SUFFIX}`,
  key_id: key.id,
  status: "succeeded",
  endpoint: "/v1/chat/completions",
  model: "gpt-4o-mini",
  provider: "openai",
  prompt_tokens: 1_234,
  completion_tokens: 567,
  cost_micro_usd: 525,
  reserved_micro_usd: 10_000,
  estimated: false,
  streamed: true,
  http_status: 200,
  error_code: null,
  denied_by_policy_id: null,
  denied_by_binding_id: null,
  denied_rule: null,
  shadow_denials: [],
  created_at: AT,
  completed_at: AT,
  cached_prompt_tokens: 1_000,
  cache_write_tokens: null,
  prompt_audio_tokens: null,
  completion_audio_tokens: null,
  reasoning_tokens: null,
  service_tier: "default",
  upstream_status: 200,
  upstream_request_id: `req_${SUFFIX}`,
  upstream_error: null,
  key_name: "my-agent",
  namespace_name: "default",
};

const TERMINAL = { dim: (text: string) => text, columns: 80 };

it.each([
  ["accounts", table(ACCOUNT_COLUMNS, [{ id: `acc_${SUFFIX}`, name: "team-a", created_at: AT }], TERMINAL)],
  ["keys", table(KEY_COLUMNS, [key], TERMINAL)],
  ["keys as a tree", table(KEY_TREE_COLUMNS, [{ key, indent: "│   └── ", status: "active" }], TERMINAL)],
  ["operators", table(OPERATOR_COLUMNS, [operator], TERMINAL)],
  ["policies", table(POLICY_COLUMNS, [policy], TERMINAL)],
  ["budgets", table(BUDGET_COLUMNS, [policy], TERMINAL)],
  ["bindings", table(BINDING_COLUMNS, [binding], TERMINAL)],
  ["requests", table(REQUEST_COLUMNS, [request], TERMINAL)],
])("a list of %s fits a terminal of 80 columns", (_, text) => {
  expect(text.split("\n").filter((line) => displayWidth(line) > TERMINAL.columns)).toEqual([]);
});
