import {
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
import type { InferenceRequest } from "../request/inference-request.ts";
import { parseRequest } from "../request/parse-request.ts";
import { type ContentGuard, type JudgedContent, judgeContent } from "./content-guard.ts";
import type { DecisionLog } from "./decision-log.ts";
import { CONTENT_RULE, type DirectionRules, type Guard, inspects } from "./guard.ts";
import { UNINSPECTABLE_CONTENT, blockRequest, judgingLimited, refusalOfViolation } from "./guardrail-refusals.ts";
import { applyEdits } from "../wire/json-edits.ts";
import type { Reply } from "../ports/reply.ts";
import type { Upstream } from "../ports/upstream.ts";
import type { RequestContext } from "../request-context.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import { recordUninspectable } from "./uninspectable.ts";
import { type LooseBounds, tightenBounds, type TokenBounds } from "../request/token-bounds.ts";

/** A request that the guardrails let pass: its content as it may go upstream, and its bounds as they may be reserved. */
export interface GuardedRequest {
  readonly request: InferenceRequest;
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
  const bound = boundRequest(judged, request);
  const bounds = bound instanceof Promise ? await bound : bound;
  recordShadowViolations(judged, bounds);
  const violation =
    judgeModel(guard.effective, model) ??
    judgeStreaming(guard.effective, request.streamed) ??
    judgeServices(guard.effective, request);
  if (violation !== undefined) throw refusalOfViolation(guard, violation);
  const guardedBounds = guardTokens(guard, request, bounds);
  const content = guardContent(judged);
  const guarded = content instanceof Promise ? await content : content;
  if (guarded === request) return { request, bounds: guardedBounds };
  return { request: guarded, bounds: guardTokens(guard, guarded, await boundRequest(judged, guarded)) };
}

/**
 * Judges a request, whose content has passed, by the rules that depend on the model: the model itself, and tokens.
 *
 * @param guarded the request as it is sent
 * @returns its bounds @throws Refusal with a denial that names the broken rule
 */
export async function guardForModel(judged: JudgedRequest, guarded: InferenceRequest): Promise<LooseBounds> {
  const { guard, model } = judged;
  const violation = judgeModel(guard.effective, model);
  if (violation !== undefined) throw refusalOfViolation(guard, violation);
  return guardTokens(guard, guarded, await boundRequest(judged, guarded));
}

/** Bounds a request: by counting its tokens if a guardrail, also one in shadow mode, would refuse or lower it otherwise. */
function boundRequest(judged: JudgedRequest, request: InferenceRequest): LooseBounds | Promise<LooseBounds> {
  const bounds = judged.upstream.boundTokens(request, judged.model);
  return bounds instanceof Promise
    ? bounds.then((known) => tightenIfRefused(judged, known))
    : tightenIfRefused(judged, bounds);
}

function tightenIfRefused(
  { guard: { effective, shadows }, tokenCounter }: JudgedRequest,
  bounds: LooseBounds,
): LooseBounds | Promise<LooseBounds> {
  const tokens = bounds.inputTokensMax + bounds.outputTokensMax;
  const isRefused =
    judgeTokens(effective, tokens) !== undefined ||
    shadows.some((shadow) => judgeTokens(shadow.effective, tokens) !== undefined);
  return isRefused ? tightenBounds(bounds, tokenCounter) : bounds;
}

/** Judges the service tier, the kinds of output and the tools of the provider that a request asks for. */
function judgeServices(effective: EffectiveGuardrail, request: InferenceRequest): Violation | undefined {
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
function guardTokens(guard: Guard, request: InferenceRequest, bounds: LooseBounds): LooseBounds {
  const { inputTokensMax, outputTokensMax } = bounds;
  const violation = judgeTokens(guard.effective, inputTokensMax + outputTokensMax);
  const cap = guard.effective.maxRequestTokens?.value;
  if (violation === undefined || cap === undefined) return bounds;
  const outputLeft = Math.floor((cap - inputTokensMax) / request.choices);
  if (request.output === undefined && outputLeft >= 1) {
    return { inputTokensMax, outputTokensMax: outputLeft * request.choices };
  }
  const excess = `: at most ${cap} for input and output together; this one needs up to ${inputTokensMax} for input and ${outputTokensMax} for output`;
  throw refusalOfViolation(guard, violation, excess);
}

/** Redacts the content of a request, or refuses it. Every byte that need not change is as the client wrote it. */
function guardContent(judged: JudgedRequest): InferenceRequest | Promise<InferenceRequest> {
  const { guard } = judged;
  const [enforced, shadow] = [guard.rules(), guard.shadowRules()];
  if (enforced instanceof Promise || shadow instanceof Promise) return guardOnceCompiled(judged);
  return guardBy(judged, enforced, shadow);
}

/** Waits for the patterns. @throws Refusal if they are more than can be run: unjudged content must not pass */
async function guardOnceCompiled(judged: JudgedRequest): Promise<InferenceRequest> {
  const { guard, decisions } = judged;
  try {
    return await guardBy(judged, await guard.rules(), await guard.shadowRules());
  } catch (error) {
    if (error instanceof TooManyPatterns) throw blockRequest(guard, decisions, undefined);
    throw error;
  }
}

function guardBy(
  judged: JudgedRequest,
  { request: rules }: DirectionRules,
  { request: shadowRules }: DirectionRules,
): InferenceRequest | Promise<InferenceRequest> {
  const {
    guard,
    request,
    decisions,
    reply: { signal },
    judgingShare: share,
  } = judged;
  if (rules === undefined && shadowRules === undefined && !inspects(guard, "request")) return request;
  if (share.isExhausted) {
    if (rules !== undefined) throw judgingLimited(share.waitMs);
    return request;
  }
  const work = guard.createWork(signal, share);
  const content: ContentGuard = {
    rules,
    shadowRules,
    work,
    shadowWork: guard.createWork(signal, share),
    places: request.wire.content.request,
    onRedactions: (redactions) => decisions.addRedactions("request", redactions),
    onShadowMatch: ({ bindingId }) => decisions.addShadowViolation(bindingId, CONTENT_RULE),
  };
  const found = judgeContent(content, request.text, request.hasSeparateTexts);
  return found instanceof Promise
    ? found.then((content) => applyJudgement(judged, content))
    : applyJudgement(judged, found);
}

/** @throws Refusal if the content must not pass */
function applyJudgement(
  { guard, request, decisions, reply: { signal }, judgingShare: share }: JudgedRequest,
  { edits, blocked, isUninspectable }: JudgedContent,
): InferenceRequest | Promise<InferenceRequest> {
  if (blocked?.reason === "too_much_work" && share.isExhausted) throw judgingLimited(share.waitMs);
  if (blocked !== undefined) throw blockRequest(guard, decisions, blocked);
  if (isUninspectable) guardUninspectable(guard, decisions);
  return edits.length === 0
    ? request
    : parseRequest(request.wire, Buffer.from(applyEdits(request.text, edits)), signal);
}

/** @throws Refusal if content that cannot be inspected is blocked */
function guardUninspectable(guard: Guard, decisions: DecisionLog): void {
  recordUninspectable(guard, decisions, "request");
  const violation = judgeUninspectable(guard.effective, "request");
  if (violation !== undefined) throw refusalOfViolation(guard, violation, UNINSPECTABLE_CONTENT);
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
