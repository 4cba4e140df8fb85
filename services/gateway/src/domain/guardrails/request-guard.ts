import {
  type Direction,
  judgeModel,
  judgeStreaming,
  judgeTokens,
  judgeUninspectable,
  TooManyPatterns,
  type Violation,
} from "@routeplane/guardrails";
import { type ChatRequest, parseChatRequest } from "../request/chat-request.ts";
import { type ContentGuard, judgeContent } from "./content-guard.ts";
import { requestContentOf } from "./content-kinds.ts";
import type { DecisionLog } from "./decision-log.ts";
import { CONTENT_RULE, type DirectionRules, type Guard, inspects } from "./guard.ts";
import { UNINSPECTABLE_CONTENT, blockRequest, judgingLimited, refusalOfViolation } from "./guardrail-refusals.ts";
import { applyEdits } from "../wire/json-texts.ts";
import type { JudgingShare } from "./judging-meter.ts";
import type { Model } from "../request/model-directory.ts";
import type { Upstream } from "../ports/upstream.ts";
import type { TokenBounds } from "../request/token-bounds.ts";

/** A request that the guardrails let pass: its content as it may go upstream, and its bounds as they may be reserved. */
export interface GuardedRequest {
  readonly request: ChatRequest;
  readonly bounds: TokenBounds;
}

/** Guard, request, model and budget that a request is judged with. */
export interface Judging {
  readonly guard: Guard;
  readonly asked: ChatRequest;
  readonly model: Model;
  /** Asked for the bounds after redaction, which changes the text. */
  readonly upstream: Bounding;
  readonly decisions: DecisionLog;
  /** Stops the work once it is aborted. */
  readonly signal: AbortSignal;
  /** Budget of judging that the key has left. */
  readonly share: JudgingShare;
}

type Bounding = Pick<Upstream, "boundTokens">;

/**
 * Judges a request by the guardrails of its key, what is cheap first: model, stream, tokens as the client wrote it, content,
 * and tokens as it is sent.
 *
 * @throws Refusal with a denial that names the first rule which it breaks; 429 if the key has had too much judged; the reason of the
 * signal
 */
export async function guardRequest(judging: Judging): Promise<GuardedRequest> {
  const { guard, asked, model, upstream } = judging;
  const asBounded = await upstream.boundTokens(asked);
  watchRules(judging, asBounded);
  const violation = judgeModel(guard.effective, model) ?? judgeStreaming(guard.effective, asked.streamed);
  if (violation !== undefined) throw refusalOfViolation(guard, violation);
  const bounds = guardTokens(guard, asked, asBounded);
  const request = await guardContent(judging);
  if (request === asked) return { request, bounds };
  return { request, bounds: guardTokens(guard, request, await upstream.boundTokens(request)) };
}

/** Lowers an output bound that the client did not name to what is left; refuses one that it did. */
function guardTokens(guard: Guard, request: ChatRequest, bounds: TokenBounds): TokenBounds {
  const { inputTokensMax, outputTokensMax } = bounds;
  const violation = judgeTokens(guard.effective, inputTokensMax + outputTokensMax);
  const cap = guard.effective.maxRequestTokens?.value;
  if (violation === undefined || cap === undefined) return bounds;
  const left = Math.floor((cap - inputTokensMax) / request.choices);
  if (request.output === undefined && left >= 1) return { inputTokensMax, outputTokensMax: left * request.choices };
  const more = `: ${cap} for input and output together, and this one may have ${inputTokensMax} and ${outputTokensMax}`;
  throw refusalOfViolation(guard, violation, more);
}

/** The request with its content as it may go upstream; every other byte is as the client wrote it. */
async function guardContent({ guard, asked: request, decisions, signal, share }: Judging): Promise<ChatRequest> {
  const rules = await rulesOf(guard, decisions);
  const watched = await guard.shadowRules();
  if (rules.request === undefined && watched.request === undefined && !inspects(guard, "request")) return request;
  if (share.isExhausted) {
    if (rules.request !== undefined) throw judgingLimited(share.waitMs);
    return request;
  }
  const work = guard.work(signal, share);
  const content: ContentGuard = {
    rules: rules.request,
    watched: watched.request,
    work,
    shadowWork: guard.work(signal, share),
    kindOf: requestContentOf,
    redacted: (redactions) => decisions.redacted("request", redactions),
    noted: ({ bindingId }) => decisions.noteShadow(bindingId, CONTENT_RULE),
  };
  const { edits, blocked, isUninspectable } = await judgeContent(content, request.text);
  if (blocked?.reason === "too_much_work" && share.isExhausted) throw judgingLimited(share.waitMs);
  if (blocked !== undefined) throw blockRequest(guard, decisions, blocked);
  if (isUninspectable) guardUninspectable(guard, decisions);
  return edits.length === 0 ? request : parseChatRequest(Buffer.from(applyEdits(request.text, edits)), signal);
}

/** @throws Refusal if content that cannot be inspected is blocked */
function guardUninspectable(guard: Guard, decisions: DecisionLog): void {
  noteUninspectable(guard, decisions, "request");
  const violation = judgeUninspectable(guard.effective, "request");
  if (violation !== undefined) throw refusalOfViolation(guard, violation, UNINSPECTABLE_CONTENT);
}

/** Notes which guardrails in shadow mode would have refused content that cannot be inspected. */
export function noteUninspectable({ shadows }: Guard, decisions: DecisionLog, direction: Direction): void {
  for (const { applied, effective } of shadows) {
    const violation = judgeUninspectable(effective, direction);
    if (violation !== undefined) decisions.noteShadow(applied.bindingId, violation.rule);
  }
}

/** @throws Refusal if there are more than can be run: what cannot be judged must not pass */
async function rulesOf(guard: Guard, decisions: DecisionLog): Promise<DirectionRules> {
  try {
    return await guard.rules();
  } catch (error) {
    if (error instanceof TooManyPatterns) throw blockRequest(guard, decisions, undefined);
    throw error;
  }
}

/** What guardrails in shadow mode would have refused. */
function watchRules(
  { guard: { shadows }, asked: request, model, decisions }: Judging,
  { inputTokensMax, outputTokensMax }: TokenBounds,
): void {
  for (const { applied, effective } of shadows) {
    // An output bound that the client does not name would be lowered, to one token of each choice at least.
    const output = request.output === undefined ? request.choices : outputTokensMax;
    const violations: readonly (Violation | undefined)[] = [
      judgeModel(effective, model),
      judgeStreaming(effective, request.streamed),
      judgeTokens(effective, inputTokensMax + output),
    ];
    for (const violation of violations)
      if (violation !== undefined) decisions.noteShadow(applied.bindingId, violation.rule);
  }
}
