import type { BlockReason, Violation } from "@routeplane/guardrails";
import type { DecisionLog } from "./decision-log.ts";
import type { Denial } from "../errors/denial.ts";
import { CONTENT_RULE, type Guard, type GuardPattern } from "./guard.ts";
import type { AppliedGuardrail } from "../ports/guardrail-directory.ts";
import type { ErrorCode } from "../errors/error-table.ts";
import { Refusal } from "../errors/refusal.ts";
import { retryAfterWait } from "../errors/retry-after.ts";

type Rule = Violation["rule"];

/** Error code, field at fault and predicate of the message, by rule. */
const WORDING: Readonly<
  Record<Rule, { readonly code: ErrorCode; readonly param?: string; readonly predicate: string }>
> = {
  "guardrail.model_allow": {
    code: "model_not_allowed",
    param: "model",
    predicate: "does not allow this model; GET /v1/models lists those that may be called",
  },
  "guardrail.model_deny": {
    code: "model_not_allowed",
    param: "model",
    predicate: "denies this model; GET /v1/models lists those that may be called",
  },
  "guardrail.allow_streaming": {
    code: "streaming_not_allowed",
    param: "stream",
    predicate: "allows no streams; send the request without 'stream'",
  },
  "guardrail.max_request_tokens": {
    code: "max_request_tokens_exceeded",
    predicate: "allows fewer tokens in one request",
  },
  "guardrail.uninspectable": {
    code: "content_uninspectable",
    predicate: "blocks content that cannot be inspected",
  },
  "guardrail.service_tier_allow": {
    code: "service_tier_not_allowed",
    param: "service_tier",
    predicate: "does not allow the service tier of this request",
  },
  "guardrail.modality_allow": {
    code: "modality_not_allowed",
    param: "modalities",
    predicate: "does not allow the kind of output that this request asks for",
  },
  "guardrail.hosted_tool_allow": {
    code: "hosted_tool_not_allowed",
    param: "tools",
    predicate: "does not allow a tool of this request, which the provider would run",
  },
};

/** Refusal of a request that breaks a guardrail. @param more e.g. the bound that was exceeded */
export function refusalOfViolation(guard: Guard, { rule, source }: Violation, more = ""): Refusal {
  const { code, param = null, predicate } = WORDING[rule];
  const applied = guard.sourceOf(source);
  const message = `the guardrail ${quotedName(applied)} ${predicate}${more}`;
  return new Refusal(code, message, { param, denial: denialOf(applied, rule, message) });
}

/** Refusal of an answer that breaks a guardrail. The upstream has done its work, so the request has failed and is charged. */
export function refusalOfResponseViolation(guard: Guard, { rule, source }: Violation): Refusal {
  const { code, param = null, predicate } = WORDING[rule];
  const applied = guard.sourceOf(source);
  const message = `the guardrail ${quotedName(applied)} ${predicate}, and the answer of the model holds some`;
  return new Refusal(code, message, { param, denial: denialOf(applied, rule, message) });
}

/** Explanation of the rule `uninspectable`, appended to its message. */
export const UNINSPECTABLE_CONTENT =
  ": images, audio, files that are not text, addresses and ids of those, encrypted reasoning; send text, or set its rule 'uninspectable' to pass";

/** Records that content patterns block a request, which must not go upstream. @returns the refusal, 400 */
export function blockRequest(
  guard: Guard,
  decisions: Pick<DecisionLog, "addBlock">,
  blocked: BlockReason<GuardPattern> | undefined,
): Refusal {
  const denial = contentDenial(guard, blocked, "this request");
  decisions.addBlock("request", denial);
  return new Refusal("content_blocked", denial.message, { denial });
}

/** Records that content patterns block an answer, which has failed and is charged. @returns the refusal, 400 */
export function blockResponse(
  guard: Guard,
  decisions: Pick<DecisionLog, "addBlock">,
  blocked: BlockReason<GuardPattern> | undefined,
): Refusal {
  const denial = contentDenial(guard, blocked, "the answer of the model");
  decisions.addBlock("response", denial);
  return new Refusal("content_blocked", denial.message, { denial });
}

/** Refusal (429) of a request whose root key and the keys below it have used up their judging. No policy denies it. */
export function judgingLimited(waitMs: number): Refusal {
  const { retryAfter } = retryAfterWait(waitMs);
  const message =
    "the content patterns that apply to this API key, and to those minted from the same root key, take more work than a " +
    `gateway does for them in a second; try again in ${retryAfter} s, with fewer or smaller requests`;
  return new Refusal("judging_limit_exceeded", message, { retryAfter });
}

/** Denial by content patterns. @param blocked undefined if there are more patterns than can be run */
function contentDenial(guard: Guard, blocked: BlockReason<GuardPattern> | undefined, content: string): Denial {
  if (blocked?.reason === "match") {
    const { name, bindingId } = blocked.pattern;
    const applied = guard.sourceOf(bindingId);
    const message = `the guardrail ${quotedName(applied)} blocks the content of ${content}: it matches the pattern '${name}'`;
    return { ...denialOf(applied, CONTENT_RULE, message), pattern: name };
  }
  const [source = ""] = guard.effective.contentPatterns.flatMap(({ sources }) => sources);
  const applied = guard.sourceOf(source);
  const bound =
    blocked === undefined
      ? "there are more content patterns, or larger ones, than are run for one request"
      : "its text is too long for content patterns of this number and size";
  const message = `${content} cannot be judged by the guardrail ${quotedName(applied)} and those that apply with it: ${bound}`;
  return denialOf(applied, CONTENT_RULE, message);
}

function denialOf(applied: AppliedGuardrail, rule: string, message: string): Denial {
  const { policyId, policyName, bindingId, principalType, principalId } = applied;
  return { policyId, policyName, bindingId, principalType, principalId, rule, message };
}

function quotedName({ policyName, policyId }: AppliedGuardrail): string {
  return `'${policyName}' (${policyId})`;
}
