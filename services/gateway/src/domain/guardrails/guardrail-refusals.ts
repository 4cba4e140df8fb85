import type { BlockReason, Violation } from "@routeplane/guardrails";
import type { DecisionLog } from "./decision-log.ts";
import { Denied, type DenialFacts, denialDetails } from "../errors/denial.ts";
import { CONTENT_RULE, type Guard, type GuardPattern } from "./guard.ts";
import type { AppliedGuardrail } from "../ports.ts";
import { Refusal, type RefusalFacts } from "../errors/refusal.ts";

/** How a client is told that a guardrail refuses its request. */

type Rule = Violation["rule"];

const WORDING: Readonly<
  Record<Rule, Pick<RefusalFacts, "status" | "type" | "code" | "param"> & { readonly what: string }>
> = {
  "guardrail.model_allow": modelNotAllowed("does not allow this model; GET /v1/models lists those that may be called"),
  "guardrail.model_deny": modelNotAllowed("denies this model; GET /v1/models lists those that may be called"),
  "guardrail.allow_streaming": {
    status: 400,
    type: "invalid_request_error",
    code: "streaming_not_allowed",
    param: "stream",
    what: "allows no streams; send the request without 'stream'",
  },
  "guardrail.max_request_tokens": {
    status: 400,
    type: "invalid_request_error",
    code: "max_request_tokens_exceeded",
    param: null,
    what: "allows fewer tokens in one request",
  },
  "guardrail.uninspectable": {
    status: 400,
    type: "invalid_request_error",
    code: "content_uninspectable",
    param: null,
    what: "blocks content that cannot be inspected",
  },
};

function modelNotAllowed(what: string) {
  return { status: 403, type: "permission_error", code: "model_not_allowed", param: "model", what };
}

/** @param more e.g. the bound that was exceeded */
export function refusalOfViolation(guard: Guard, { rule, source }: Violation, more = ""): Denied {
  const { what, ...facts } = WORDING[rule];
  const applied = guard.sourceOf(source);
  return new Denied(denialOf(applied, rule), { ...facts, message: `the guardrail ${named(applied)} ${what}${more}` });
}

/** Refuses an answer that breaks a guardrail. The upstream has done its work: this is a failure that is charged, no denial. */
export function refuseResponse(guard: Guard, { rule, source }: Violation): Refusal {
  const { what, ...facts } = WORDING[rule];
  const applied = guard.sourceOf(source);
  const message = `the guardrail ${named(applied)} ${what}, and the answer of the model holds some`;
  return new Refusal({ ...facts, message, details: denialDetails(denialOf(applied, rule)) });
}

export const UNINSPECTABLE_CONTENT =
  ": images, audio, files that are not text, addresses and ids of those, encrypted reasoning; send text, or set its rule 'uninspectable' to pass";

/** Notes that what the client sends must not go upstream. @returns what it is told: 400 */
export function blockRequest(
  guard: Guard,
  decisions: Pick<DecisionLog, "blocked">,
  blocked: BlockReason<GuardPattern> | undefined,
): Denied {
  const { denial, ...facts } = contentBlocked(guard, blocked, "this request");
  decisions.blocked("request", denial);
  return new Denied(denial, facts);
}

/** As `blockRequest`; but the upstream has done its work, so this is a failure that is charged, and no denial. */
export function blockResponse(
  guard: Guard,
  decisions: Pick<DecisionLog, "blocked">,
  blocked: BlockReason<GuardPattern> | undefined,
): Refusal {
  const { denial, ...facts } = contentBlocked(guard, blocked, "the answer of the model");
  decisions.blocked("response", denial);
  return new Refusal({ ...facts, details: denialDetails(denial) });
}

/** 429: what the keys of this tree send takes more judging than one gateway gives them. No policy denies it. */
export function judgingLimited(waitMs: number): Refusal {
  const waitSecs = Math.max(1, Math.ceil(waitMs / 1_000));
  const message =
    "the content patterns that apply to this API key, and to those minted from the same root key, take more work than a " +
    `gateway does for them in a second; try again in ${waitSecs} s, with fewer or smaller requests`;
  const words = { type: "requests", code: "judging_limit_exceeded", message };
  return new Refusal({ status: 429, ...words, retryAfter: String(waitSecs), retryable: true });
}

/** @param blocked undefined if there are more patterns than can be run */
function contentBlocked(guard: Guard, blocked: BlockReason<GuardPattern> | undefined, what: string) {
  const facts = { status: 400, type: "invalid_request_error", code: "content_blocked" };
  if (blocked?.reason === "match") {
    const { name, bindingId } = blocked.pattern;
    const applied = guard.sourceOf(bindingId);
    const message = `the guardrail ${named(applied)} blocks the content of ${what}: it matches the pattern '${name}'`;
    return { ...facts, message, denial: { ...denialOf(applied, CONTENT_RULE), pattern: name } };
  }
  const [source = ""] = guard.effective.contentPatterns.flatMap(({ sources }) => sources);
  const applied = guard.sourceOf(source);
  const bound =
    blocked === undefined
      ? "there are more content patterns, or larger ones, than are run for one request"
      : "its text is too long for content patterns of this number and size";
  const message = `${what} cannot be judged by the guardrail ${named(applied)} and those that apply with it: ${bound}`;
  return { ...facts, message, denial: denialOf(applied, CONTENT_RULE) };
}

function denialOf(applied: AppliedGuardrail, rule: string): DenialFacts {
  const { policyId, policyName, bindingId, principalType, principalId } = applied;
  return { policyId, policyName, bindingId, principalType, principalId, rule };
}

function named({ policyName, policyId }: AppliedGuardrail): string {
  return `'${policyName}' (${policyId})`;
}
