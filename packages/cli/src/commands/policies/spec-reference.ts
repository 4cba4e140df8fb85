import { BUDGET_WINDOWS } from "@routeplane/admission";
import { HOSTED_TOOLS, MODALITIES, type PolicyKind, SERVICE_TIERS } from "@routeplane/policy-spec";
import { PROTO_POLICY_KINDS } from "@routeplane/policy-spec/proto";
import type { Context } from "../../context.ts";

const SPECS: Readonly<Record<PolicyKind, string>> = {
  budget: `{"window": "${BUDGET_WINDOWS.join("|")}",
               "time_zone": "Europe/Berlin", "limit_micro_usd": 5000000}
              a time zone is for calendar windows only (default: UTC)`,
  rate_limit: `{"window_secs": 60, "max_requests": 100, "max_tokens": 50000, "max_concurrent": 5}
              at least one maximum`,
  guardrail: `{"model_allow": ["openai/*"], "model_deny": ["*-preview"], "max_request_tokens": 8192,
               "allow_streaming": false, "content_patterns": [{"name": "card", "pattern": "\\\\b\\\\d{16}\\\\b",
               "action": "block|redact", "applies_to": "request|response|both"}],
               "uninspectable": "block|pass", "service_tier_allow": ["auto", "default"],
               "modality_allow": ["text"], "hosted_tool_allow": ["web_search"]}
              at least one of them; patterns are RE2; an empty list of what is allowed allows nothing;
              service tiers: ${SERVICE_TIERS.slice(0, 6).join(" ")}
                ${SERVICE_TIERS.slice(6).join(" ")}
              modalities: ${MODALITIES.join(" ")}
              hosted tools: ${HOSTED_TOOLS.slice(0, 4).join(" ")}
                ${HOSTED_TOOLS.slice(4).join(" ")}`,
  preset: `{"guardrail": {…}, "rate_limit": {…}, "budget": {…}}
              at least one of them`,
};

/** Help on the JSON that `--spec` takes: of one kind, or of all for a preset and for `policy create`. */
export function specReference(kind?: PolicyKind): string {
  const kinds = kind === undefined || kind === "preset" ? (Object.keys(PROTO_POLICY_KINDS) as PolicyKind[]) : [kind];
  const lines = kinds.map((name) => `  ${name.padEnd(10)}  ${SPECS[name]}`);
  return ["\nA spec is JSON; unknown fields are refused:", ...lines].join("\n");
}

export function noteUnbound({ output }: Context, id: string): void {
  const bind = `routeplane cloud policy bind ${id} --principal-type api_key --principal-id <key-id>`;
  output.note(`It limits nothing until it is bound: ${bind}`);
}
