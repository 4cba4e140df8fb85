import {
  type Direction,
  type EffectiveGuardrail,
  judgeHostedTools,
  judgeModalities,
  judgeModel,
  judgeServiceTiers,
  judgeStreaming,
  judgeTokens,
  judgeUninspectable,
  TooManyPatterns,
  type Violation,
} from "@routeplane/guardrails";
import { askedServices } from "../request/asked-services.ts";
import { type ChatRequest, parseChatRequest } from "../request/chat-request.ts";
import { type ContentGuard, judgeContent } from "./content-guard.ts";
import { requestContentKindOf } from "./content-kinds.ts";
import type { DecisionLog } from "./decision-log.ts";
import { CONTENT_RULE, type DirectionRules, type Guard, inspects } from "./guard.ts";
import { UNINSPECTABLE_CONTENT, blockRequest, judgingLimited, refusalOfViolation } from "./guardrail-refusals.ts";
import { applyEdits } from "../wire/json-edits.ts";
import type { Reply } from "../ports/reply.ts";
import type { Upstream } from "../ports/upstream.ts";
import type { RequestContext } from "../request-context.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import { type LooseBounds, tightenBounds, type TokenBounds } from "../request/token-bounds.ts";

/** A request that the guardrails let pass: its content as it may go upstream, and its bounds as they may be reserved. */
export interface GuardedRequest {
  readonly request: ChatRequest;
  readonly bounds: LooseBounds;
}

/** The part of a request context by which its guardrails are judged. */
export interface JudgedRequest extends Pick<
  RequestContext,
  "guard" | "request" | "model" | "decisions" | "judgingShare"
> {
  readonly upstream: Pick<Upstream, "boundTokens">;
  readonly tokenCounter: TokenCounter;
  /** Client's side of the request, whose signal stops the work once it is aborted. */
  readonly reply: Pick<Reply, "signal">;
}

/**
 * Judges a request by the guardrails of its key, cheap rules first: model, stream, services, tokens as the client wrote it,
 * content, and tokens as it is sent.
 *
 * @throws Refusal with a denial that names the first broken rule; 429 if the key has used up its judging; the reason of the signal
 */
export async function guardRequest(judged: JudgedRequest): Promise<GuardedRequest> {
  const { guard, request, model } = judged;
  const bounds = await boundRequest(judged, request);
  recordShadowViolations(judged, bounds);
  const violation =
    judgeModel(guard.effective, model) ??
    judgeStreaming(guard.effective, request.streamed) ??
    judgeServices(guard.effective, request);
  if (violation !== undefined) throw refusalOfViolation(guard, violation);
  const guardedBounds = guardTokens(guard, request, bounds);
  const guarded = await guardContent(judged);
  if (guarded === request) return { request, bounds: guardedBounds };
  return { request: guarded, bounds: guardTokens(guard, guarded, await boundRequest(judged, guarded)) };
}

/** Bounds a request: by counting its tokens if a guardrail, also one in shadow mode, would refuse or lower it otherwise. */
async function boundRequest(
  { guard, model, upstream, tokenCounter }: JudgedRequest,
  request: ChatRequest,
): Promise<LooseBounds> {
  const bounds = await upstream.boundTokens(request, model);
  const guardrails = [guard.effective, ...guard.shadows.map(({ effective }) => effective)];
  const tokens = bounds.inputTokensMax + bounds.outputTokensMax;
  const isWithin = guardrails.every((effective) => judgeTokens(effective, tokens) === undefined);
  return isWithin ? bounds : tightenBounds(bounds, tokenCounter);
}

/** Judges the service tier, the kinds of output and the tools of the provider that a request asks for. */
function judgeServices(effective: EffectiveGuardrail, request: ChatRequest): Violation | undefined {
  const { serviceTierAllow, modalityAllow, hostedToolAllow } = effective;
  if (serviceTierAllow.length + modalityAllow.length + hostedToolAllow.length === 0) return undefined;
  const { tiers, modalities, hostedTools } = askedServices(request);
  return (
    judgeServiceTiers(effective, tiers) ??
    judgeModalities(effective, modalities) ??
    judgeHostedTools(effective, hostedTools)
  );
}

/** Lowers an output bound that the client did not give to what is left; refuses one that it gave. */
function guardTokens(guard: Guard, request: ChatRequest, bounds: LooseBounds): LooseBounds {
  const { inputTokensMax, outputTokensMax } = bounds;
  const violation = judgeTokens(guard.effective, inputTokensMax + outputTokensMax);
  const cap = guard.effective.maxRequestTokens?.value;
  if (violation === undefined || cap === undefined) return bounds;
  const outputLeft = Math.floor((cap - inputTokensMax) / request.choices);
  if (request.output === undefined && outputLeft >= 1) {
    return { inputTokensMax, outputTokensMax: outputLeft * request.choices };
  }
  const excess = `: ${cap} for input and output together, and the bounds of this one are ${inputTokensMax} and ${outputTokensMax}`;
  throw refusalOfViolation(guard, violation, excess);
}

/** Redacts the content of a request, or refuses it. Every byte that need not change is as the client wrote it. */
async function guardContent({
  guard,
  request,
  decisions,
  reply: { signal },
  judgingShare: share,
}: JudgedRequest): Promise<ChatRequest> {
  const enforced = await rulesOf(guard, decisions);
  const shadow = await guard.shadowRules();
  if (enforced.request === undefined && shadow.request === undefined && !inspects(guard, "request")) return request;
  if (share.isExhausted) {
    if (enforced.request !== undefined) throw judgingLimited(share.waitMs);
    return request;
  }
  const work = guard.createWork(signal, share);
  const content: ContentGuard = {
    rules: enforced.request,
    shadowRules: shadow.request,
    work,
    shadowWork: guard.createWork(signal, share),
    kindOf: requestContentKindOf,
    onRedactions: (redactions) => decisions.addRedactions("request", redactions),
    onShadowMatch: ({ bindingId }) => decisions.addShadowViolation(bindingId, CONTENT_RULE),
  };
  const judged = judgeContent(content, request.text, request.hasSeparateTexts);
  const { edits, blocked, isUninspectable } = judged instanceof Promise ? await judged : judged;
  if (blocked?.reason === "too_much_work" && share.isExhausted) throw judgingLimited(share.waitMs);
  if (blocked !== undefined) throw blockRequest(guard, decisions, blocked);
  if (isUninspectable) guardUninspectable(guard, decisions);
  return edits.length === 0 ? request : parseChatRequest(Buffer.from(applyEdits(request.text, edits)), signal);
}

/** @throws Refusal if content that cannot be inspected is blocked */
function guardUninspectable(guard: Guard, decisions: DecisionLog): void {
  recordUninspectable(guard, decisions, "request");
  const violation = judgeUninspectable(guard.effective, "request");
  if (violation !== undefined) throw refusalOfViolation(guard, violation, UNINSPECTABLE_CONTENT);
}

/** Records the guardrails in shadow mode that would have refused content that cannot be inspected. */
export function recordUninspectable({ shadows }: Guard, decisions: DecisionLog, direction: Direction): void {
  for (const { applied, effective } of shadows) {
    const violation = judgeUninspectable(effective, direction);
    if (violation !== undefined) decisions.addShadowViolation(applied.bindingId, violation.rule);
  }
}

/** Patterns of the enforced guardrails. @throws Refusal if they are more than can be run: unjudged content must not pass */
async function rulesOf(guard: Guard, decisions: DecisionLog): Promise<DirectionRules> {
  try {
    return await guard.rules();
  } catch (error) {
    if (error instanceof TooManyPatterns) throw blockRequest(guard, decisions, undefined);
    throw error;
  }
}

/** Records the rules of guardrails in shadow mode that the request breaks, but for its content. */
function recordShadowViolations(
  { guard: { shadows }, request, model, decisions }: JudgedRequest,
  { inputTokensMax, outputTokensMax }: TokenBounds,
): void {
  for (const { applied, effective } of shadows) {
    // An output bound that the client did not give would be lowered, to at least one token for each choice.
    const output = request.output === undefined ? request.choices : outputTokensMax;
    const violations: readonly (Violation | undefined)[] = [
      judgeModel(effective, model),
      judgeStreaming(effective, request.streamed),
      judgeServices(effective, request),
      judgeTokens(effective, inputTokensMax + output),
    ];
    for (const violation of violations)
      if (violation !== undefined) decisions.addShadowViolation(applied.bindingId, violation.rule);
  }
}
