import type { Id } from "@routeplane/domain";

/** How a request ended. */
export type Outcome = "succeeded" | "failed" | "cancelled" | "denied";

/**
 * `pending` until it is settled: admitted, and its cost not known yet. `unknown` once nobody is expected to settle it any
 * more: what it had reserved is its charge, until a late settlement says better.
 */
export type RequestStatus = "pending" | "unknown" | Outcome;

/** A row of the request log; also what one usage event says of it, because either event suffices to write the row. */
export interface LoggedRequest {
  readonly namespaceId: Id<"ns">;
  readonly id: Id<"req">;
  /** Part of the identity: every event of a request says the same. */
  readonly createdAt: Date;
  readonly keyId: Id<"key">;
  readonly status: RequestStatus;
  readonly endpoint: string;
  readonly model: string;
  readonly provider: string;
  readonly streamed: boolean;
  readonly reservedNanoUsd: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
  /** Whether the reservation stands in for usage that was not reported. */
  readonly estimated: boolean;
  /** 0 while pending. */
  readonly httpStatus: number;
  /** Empty if there was none. */
  readonly errorCode: string;
  /** Empty unless denied. */
  readonly deniedByPolicyId: string;
  /** Empty unless denied. */
  readonly deniedByBindingId: string;
  /** Empty unless denied. */
  readonly deniedRule: string;
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** Undefined while pending. */
  readonly completedAt: Date | undefined;
  /** While pending, from when on it is `unknown`; else undefined. */
  readonly expiresAt: Date | undefined;
  readonly receipt: Receipt;
}

/** A request as a list tells of it: without how its charge came about. */
export type ListedRequest = Omit<LoggedRequest, "expiresAt" | "receipt">;

/** How a charge came about. What is not known is undefined: of a request from before it was recorded, everything. */
export interface Receipt {
  /** What it is charged by; while pending or unknown, what its reservation is reckoned with. */
  readonly price: Price | undefined;
  /** The model that was billed, where the upstream answered with another than was asked for. */
  readonly billedModel: string | undefined;
  /** Those of the prompt tokens that the upstream had cached. */
  readonly cachedPromptTokens: bigint | undefined;
  /** Those of the completion tokens that were reasoning. */
  readonly reasoningTokens: bigint | undefined;
  /** Undefined if it was denied too. */
  readonly admittedAt: Date | undefined;
  /** From when it was received until its stream's first piece of output was passed on. */
  readonly firstTokenMs: number | undefined;
  /** From when the upstream was called until its answer was over. */
  readonly upstreamMs: number | undefined;
  /** What content patterns of guardrails did, the one that blocked first. */
  readonly guardrailDecisions: readonly GuardrailDecision[];
}

/** What one content pattern did. Never what it matched. */
export interface GuardrailDecision {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
  /** Its name; empty if there was more than can be judged. */
  readonly pattern: string;
  /** How many stretches of text it redacted. */
  readonly requestRedactions: number;
  readonly responseRedactions: number;
  readonly blockedRequest: boolean;
  readonly blockedResponse: boolean;
}

/** What the tokens of a request cost, and which table of prices says so. */
export interface Price {
  readonly version: string;
  readonly inputPicoUsd: bigint;
  readonly outputPicoUsd: bigint;
  /** Price of the request beside its tokens, in pico-USD; undefined: nothing. */
  readonly requestPicoUsd?: bigint | undefined;
}

/** A rule that would have refused a request, were its binding not in shadow mode. */
export interface ShadowDenial {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
}

/** 10^12: nothing reads or writes more in one request. */
const MAX_TOKENS = 10n ** 12n;
/** A million USD: a request that costs more is a fault, and sums of a billion rows still fit. */
const MAX_NANO_USD = 10n ** 15n;
const MIN_TIME_MS = Date.UTC(2000, 0, 1);
const MAX_TIME_MS = Date.UTC(2100, 0, 1);

/** The rule that a request breaks, so that it cannot be stored; undefined if it breaks none. */
export function findFault(request: LoggedRequest): string | undefined {
  const { createdAt, completedAt, expiresAt, status } = request;
  const timeFault =
    findTimeFault("created_at", createdAt) ??
    findTimeFault("completed_at", completedAt) ??
    findTimeFault("expires_at", expiresAt);
  if (timeFault !== undefined) return timeFault;
  if ((status === "pending") !== (completedAt === undefined)) return "completed_at: is required once settled";
  const amounts = [
    ["prompt_tokens", request.promptTokens, MAX_TOKENS],
    ["completion_tokens", request.completionTokens, MAX_TOKENS],
    ["cost_nano_usd", request.costNanoUsd, MAX_NANO_USD],
    ["reserved_nano_usd", request.reservedNanoUsd, MAX_NANO_USD],
  ] as const;
  const broken = amounts.find(([, amount, max]) => amount < 0n || amount > max);
  return broken && `${broken[0]}: must be from 0 to ${broken[2]}`;
}

/** A price of a token beyond 1 USD is a fault, and one of a request beyond 1,000 USD. Pico-USD. */
const MAX_PRICE_PICO_USD = 10n ** 12n;
const MAX_REQUEST_PRICE_PICO_USD = 10n ** 15n;
const MAX_MS = 2 ** 31 - 1;

/** The receipt without what cannot be true of it: the charge does not hang on it, so it holds no request up. */
export function withoutImplausible(receipt: Receipt): Receipt {
  const { price, billedModel, cachedPromptTokens, reasoningTokens, admittedAt, firstTokenMs, upstreamMs } = receipt;
  const { guardrailDecisions } = receipt;
  const isUpTo = (max: bigint, pico: bigint): boolean => pico >= 0n && pico <= max;
  const isPrice = ({ inputPicoUsd, outputPicoUsd, requestPicoUsd = 0n }: Price): boolean =>
    isUpTo(MAX_PRICE_PICO_USD, inputPicoUsd) &&
    isUpTo(MAX_PRICE_PICO_USD, outputPicoUsd) &&
    isUpTo(MAX_REQUEST_PRICE_PICO_USD, requestPicoUsd);
  const isTokens = (tokens: bigint): boolean => tokens >= 0n && tokens <= MAX_TOKENS;
  const isMs = (ms: number): boolean => ms >= 0 && ms <= MAX_MS;
  return {
    price: only(price, isPrice),
    billedModel,
    cachedPromptTokens: only(cachedPromptTokens, isTokens),
    reasoningTokens: only(reasoningTokens, isTokens),
    admittedAt: only(admittedAt, isPlausible),
    firstTokenMs: only(firstTokenMs, isMs),
    upstreamMs: only(upstreamMs, isMs),
    guardrailDecisions: guardrailDecisions.filter(
      ({ requestRedactions, responseRedactions }) => requestRedactions >= 0 && responseRedactions >= 0,
    ),
  };
}

function only<T>(value: T | undefined, holds: (value: T) => boolean): T | undefined {
  return value !== undefined && holds(value) ? value : undefined;
}

/** Undefined for a time that is not given. */
export function findTimeFault(name: string, time: Date | undefined): string | undefined {
  return time === undefined || isPlausible(time) ? undefined : `${name}: must be a time between 2000 and 2100`;
}

function isPlausible(time: Date): boolean {
  const ms = time.getTime();
  return ms >= MIN_TIME_MS && ms < MAX_TIME_MS;
}
