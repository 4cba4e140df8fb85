import type { Attempt, GuardrailDecision, Receipt } from "@routeplane/contracts/usage";
import { formatMicroUsd } from "../../output/money.ts";
import { formatTime } from "../../output/time.ts";
import { type DenialView, fromProtoDenial } from "./denial.ts";
import { fromProtoCount, fromProtoInteger, fromProtoText, fromProtoTime } from "../values.ts";

/** Receipt of a request: how its charge came about. Unknown values are null. */
export interface ReceiptView {
  /** Price that was charged, in pico-USD per token: 1,000,000 is 1 USD per million tokens. */
  readonly price: {
    readonly version: string;
    readonly input_pico_usd: number;
    readonly output_pico_usd: number;
    /** Price per request, in addition to the price of its tokens. */
    readonly request_pico_usd: number;
    /** Prices per token of each part; null: the price of the whole that the part belongs to. */
    readonly cached_input_pico_usd: number | null;
    readonly cache_write_pico_usd: number | null;
    readonly input_audio_pico_usd: number | null;
    readonly output_audio_pico_usd: number | null;
    readonly reasoning_pico_usd: number | null;
  } | null;
  /** Billed model, if the upstream answered with a model other than the requested one; else null. */
  readonly billed_model: string | null;
  /** Charge beyond the reservation. */
  readonly overrun_micro_usd: number;
  readonly token_buckets: {
    readonly prompt: number;
    /** Number of prompt tokens that the upstream had cached. */
    readonly cached_prompt: number | null;
    /** Number of prompt tokens that the upstream wrote to its cache. */
    readonly cache_write: number | null;
    readonly prompt_audio: number | null;
    readonly completion: number;
    readonly completion_audio: number | null;
    /** Number of completion tokens that were reasoning. */
    readonly reasoning: number | null;
  };
  /** Actions of content patterns, the one that blocked first. Patterns without a match are left out. */
  readonly guardrail_decisions: readonly GuardrailDecisionView[];
  /** Attempts to get an answer, in order; the client got the answer or the error of the last one. */
  readonly attempts: readonly AttemptView[];
  /** Amounts of the limit that denied the request; null unless a budget or a rate limit did. */
  readonly denial: DenialView | null;
  readonly timings: {
    readonly received_at: string;
    readonly admitted_at: string | null;
    readonly time_to_first_token_ms: number | null;
    readonly upstream_ms: number | null;
    readonly total_ms: number | null;
  };
}

/** One call of one model. */
export interface AttemptView {
  readonly provider: string | null;
  readonly model: string | null;
  /** HTTP status of its answer; null if it gave none. */
  readonly status: number | null;
  /** Error code of the failure; null if the attempt succeeded. */
  readonly error_code: string | null;
  /** Time from receiving the request to the call. */
  readonly started_ms: number | null;
  /** Time from the call to its failure or to the end of its answer. */
  readonly ms: number;
}

export interface GuardrailDecisionView {
  readonly policy_id: string;
  readonly binding_id: string;
  readonly rule: string;
  /** Name of the pattern; null if the content exceeded the bounds of judging. */
  readonly pattern: string | null;
  /** Number of redactions in the request. */
  readonly request_redactions: number;
  readonly response_redactions: number;
  readonly blocked: "request" | "response" | null;
}

/** Fields of a request that its receipt needs. */
interface ReceiptRequest {
  readonly prompt_tokens: number;
  readonly cached_prompt_tokens: number | null;
  readonly cache_write_tokens: number | null;
  readonly prompt_audio_tokens: number | null;
  readonly completion_tokens: number;
  readonly completion_audio_tokens: number | null;
  readonly reasoning_tokens: number | null;
  readonly created_at: string;
  readonly denied_rule: string | null;
}

/** @param receipt undefined if the node sent none */
export function fromProtoReceipt(request: ReceiptRequest, receipt: Receipt | undefined): ReceiptView {
  const price = receipt?.price;
  return {
    price: price
      ? {
          version: price.version,
          input_pico_usd: fromProtoInteger(price.inputPicoUsd),
          output_pico_usd: fromProtoInteger(price.outputPicoUsd),
          request_pico_usd: fromProtoInteger(price.requestPicoUsd),
          cached_input_pico_usd: fromProtoCount(price.cachedInputPicoUsd),
          cache_write_pico_usd: fromProtoCount(price.cacheWritePicoUsd),
          input_audio_pico_usd: fromProtoCount(price.inputAudioPicoUsd),
          output_audio_pico_usd: fromProtoCount(price.outputAudioPicoUsd),
          reasoning_pico_usd: fromProtoCount(price.reasoningPicoUsd),
        }
      : null,
    billed_model: fromProtoText(receipt?.billedModel ?? ""),
    overrun_micro_usd: fromProtoInteger(receipt?.overrunMicroUsd ?? 0n),
    token_buckets: {
      prompt: request.prompt_tokens,
      cached_prompt: request.cached_prompt_tokens,
      cache_write: request.cache_write_tokens,
      prompt_audio: request.prompt_audio_tokens,
      completion: request.completion_tokens,
      completion_audio: request.completion_audio_tokens,
      reasoning: request.reasoning_tokens,
    },
    guardrail_decisions: (receipt?.guardrailDecisions ?? []).map(fromProtoDecision),
    attempts: (receipt?.attempts ?? []).map(fromProtoAttempt),
    denial: fromProtoDenial(request.denied_rule, receipt?.deniedAmounts),
    timings: {
      received_at: request.created_at,
      admitted_at: fromProtoTime(receipt?.admittedAt),
      time_to_first_token_ms: receipt?.timeToFirstTokenMs ?? null,
      upstream_ms: receipt?.upstreamMs ?? null,
      total_ms: fromProtoCount(receipt?.totalMs),
    },
  };
}

function fromProtoAttempt({ provider, model, status, errorCode, startedMs, durationMs }: Attempt): AttemptView {
  return {
    provider: fromProtoText(provider),
    model: fromProtoText(model),
    status: status ?? null,
    error_code: fromProtoText(errorCode),
    started_ms: startedMs ?? null,
    ms: durationMs,
  };
}

function fromProtoDecision(decision: GuardrailDecision): GuardrailDecisionView {
  const { blockedRequest, blockedResponse } = decision;
  return {
    policy_id: decision.policyId,
    binding_id: decision.bindingId,
    rule: decision.rule,
    pattern: fromProtoText(decision.pattern),
    request_redactions: decision.requestRedactions,
    response_redactions: decision.responseRedactions,
    blocked: blockedRequest ? "request" : blockedResponse ? "response" : null,
  };
}

type Field = readonly [string, string];

/** Fields for the actions of guardrails, e.g. "redacted 2 in the request: 'ssn' pol_… bnd_…". */
export function guardrailFields({ guardrail_decisions }: Pick<ReceiptView, "guardrail_decisions">): readonly Field[] {
  return guardrail_decisions.map((decision) => {
    const { request_redactions, response_redactions, blocked } = decision;
    const actions = [
      ...(blocked === null ? [] : [blocked === "request" ? "blocked the request" : "blocked the answer"]),
      ...(request_redactions === 0 ? [] : [`redacted ${request_redactions} in the request`]),
      ...(response_redactions === 0 ? [] : [`redacted ${response_redactions} in the answer`]),
    ];
    const cause = decision.pattern === null ? "more than can be judged" : `'${decision.pattern}'`;
    return ["guardrail", `${actions.join(", ")}: ${cause} ${decision.policy_id} ${decision.binding_id}`];
  });
}

/** Fields for the attempts of a request, if there were several, e.g. "openai/gpt-4o: 429 rate_limit_exceeded after 30 ms". */
export function attemptFields({ attempts }: ReceiptView): readonly Field[] {
  if (attempts.length < 2) return [];
  return attempts.map(({ provider, model, status, error_code, ms }) => {
    const name = [provider, model].filter((part) => part !== null).join("/");
    const outcome = [status, error_code].filter((part) => part !== null).join(" ") || "no answer";
    return ["attempt", `${name}: ${outcome} after ${ms} ms`];
  });
}

/** Fields for tokens and price. */
export function chargeFields({ price, billed_model, overrun_micro_usd, token_buckets }: ReceiptView): readonly Field[] {
  const { prompt, cached_prompt, cache_write, prompt_audio, completion, completion_audio, reasoning } = token_buckets;
  const promptParts = { cached: cached_prompt, "written to the cache": cache_write, audio: prompt_audio };
  return [
    ["prompt tokens", wholeText(prompt, promptParts)],
    ["completion tokens", wholeText(completion, { audio: completion_audio, reasoning })],
    ...(billed_model === null ? [] : [["billed model", billed_model] as const]),
    ...(price === null ? [] : [["price", priceText(price)] as const]),
    ...(overrun_micro_usd === 0
      ? []
      : [["overrun", `${formatMicroUsd(overrun_micro_usd)} beyond its reservation`] as const]),
  ];
}

/** Text of a count and its known parts, e.g. "100 (60 cached, 5 audio)". */
function wholeText(whole: number, parts: Readonly<Record<string, number | null>>): string {
  const known = Object.entries(parts).flatMap(([name, count]) => (count === null ? [] : [`${count} ${name}`]));
  return known.length === 0 ? String(whole) : `${whole} (${known.join(", ")})`;
}

/** Fields for times. */
export function timeFields({ timings }: ReceiptView, completedAt: string | null): readonly Field[] {
  const { admitted_at, time_to_first_token_ms, upstream_ms, total_ms } = timings;
  const total = total_ms === null ? "" : ` (after ${total_ms} ms)`;
  return [
    ["received", formatTime(timings.received_at)],
    ...(admitted_at === null ? [] : [["admitted", formatTime(admitted_at)] as const]),
    ...(time_to_first_token_ms === null ? [] : [["first token", `after ${time_to_first_token_ms} ms`] as const]),
    ...(upstream_ms === null ? [] : [["upstream", `${upstream_ms} ms`] as const]),
    ["completed", completedAt === null ? "-" : `${formatTime(completedAt)}${total}`],
  ];
}

const PICO_USD_PER_TOKEN_IN_USD_PER_MTOK = 1e6;
const PICO_USD_IN_USD = 1e12;

function priceText(price: NonNullable<ReceiptView["price"]>): string {
  const rates = {
    in: price.input_pico_usd,
    "cached in": price.cached_input_pico_usd,
    "cache write": price.cache_write_pico_usd,
    "audio in": price.input_audio_pico_usd,
    out: price.output_pico_usd,
    "audio out": price.output_audio_pico_usd,
    reasoning: price.reasoning_pico_usd,
  };
  const perMtok = Object.entries(rates).flatMap(([name, pico]) =>
    pico === null ? [] : [`$${pico / PICO_USD_PER_TOKEN_IN_USD_PER_MTOK} ${name}`],
  );
  const { request_pico_usd, version } = price;
  const perRequest = request_pico_usd === 0 ? "" : `, $${request_pico_usd / PICO_USD_IN_USD} per request`;
  return `${perMtok.join(", ")} per million tokens${perRequest} (${version})`;
}
