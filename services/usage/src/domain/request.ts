import {
  type Id,
  MAX_REQUEST_COST_NANO_USD,
  MAX_REQUEST_PRICE_PICO_USD,
  MAX_REQUEST_TOKENS,
  MAX_TOKEN_PRICE_PICO_USD,
} from "@routeplane/domain";

/** End of a request. */
export type Outcome = "succeeded" | "failed" | "cancelled" | "denied";

/**
 * State of a request. `pending` from its admission to its settlement. `unknown` once its reservation has expired without a settlement: it
 * is charged in full until a late settlement replaces this charge.
 */
export type RequestStatus = "pending" | "unknown" | Outcome;

/**
 * Facts of a request: known from its beginning, and the same in each of its events. Exceptions are model and provider: once settled, they
 * are those of the last attempt.
 */
export interface RequestFacts {
  readonly namespaceId: Id<"ns">;
  readonly id: Id<"req">;
  /** Time at which the gateway received it. Part of its identity. */
  readonly createdAt: Date;
  readonly keyId: Id<"key">;
  readonly endpoint: string;
  readonly model: string;
  readonly provider: string;
  readonly streamed: boolean;
  /** Slices on which it was admitted; undefined if the policy service admitted it, or no limit applies. */
  readonly slices: AdmittedOnSlices | undefined;
}

/** Admission of a request by its gateway on slices. */
export interface AdmittedOnSlices {
  readonly sessionId: Id<"gws">;
  /** Number of the limit set in the session: the counters that the request counts on. */
  readonly limitSet: number;
  /** Time at which its rate slices are counted; undefined if no rate limit applies. */
  readonly countedAt: Date | undefined;
  /** Sum of the input bound and the output bound. */
  readonly tokensMax: bigint;
}

/** Row of the request log. Also the observation that one usage event makes, because either event of a request suffices to write its row. */
export interface LoggedRequest extends RequestFacts, TokenParts {
  readonly status: RequestStatus;
  readonly reservedNanoUsd: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
  /** True if the reservation replaces usage that was not reported. */
  readonly estimated: boolean;
  /** HTTP status that the client got; 0 while pending. */
  readonly httpStatus: number;
  /** Error code that the client got; empty if there was none. */
  readonly errorCode: string;
  /** Empty unless denied. */
  readonly deniedByPolicyId: string;
  /** Empty unless denied. */
  readonly deniedByBindingId: string;
  /** Empty unless denied. */
  readonly deniedRule: string;
  readonly shadowDenials: readonly ShadowDenial[];
  /** Undefined while pending. */
  readonly completedAt: Date | undefined;
  /** Service tier whose price it was charged. */
  readonly serviceTier: string | undefined;
  /** HTTP status of the upstream's answer; undefined if there was none. */
  readonly upstreamStatus: number | undefined;
  /** Id that the upstream gave the request. */
  readonly upstreamRequestId: string | undefined;
  /** Error text of the upstream. */
  readonly upstreamError: string | undefined;
  /** Time at which a pending request becomes `unknown`; undefined once settled. */
  readonly expiresAt: Date | undefined;
  readonly receipt: Receipt;
}

/** Parts of the tokens of a request, each included in its whole; undefined if the upstream does not report it. */
export interface TokenParts {
  readonly cachedPromptTokens: bigint | undefined;
  /** Prompt tokens that the upstream wrote to its cache. */
  readonly cacheWriteTokens: bigint | undefined;
  readonly promptAudioTokens: bigint | undefined;
  readonly completionAudioTokens: bigint | undefined;
  readonly reasoningTokens: bigint | undefined;
}

/** Request as lists show it: without its receipt. */
export type ListedRequest = Omit<LoggedRequest, "expiresAt" | "receipt" | "slices">;

/** Request that was admitted on slices, with the fields that are needed to charge it. */
export interface SessionRequest
  extends
    Pick<LoggedRequest, "id" | "keyId" | "createdAt" | "status" | "reservedNanoUsd" | "costNanoUsd" | "expiresAt">,
    Omit<AdmittedOnSlices, "sessionId"> {
  /** Input and output tokens together. */
  readonly tokens: bigint;
}

/** Fields of a pending request that only its settlement knows. */
export const UNSETTLED = {
  status: "pending",
  promptTokens: 0n,
  completionTokens: 0n,
  costNanoUsd: 0n,
  estimated: false,
  httpStatus: 0,
  errorCode: "",
  deniedByPolicyId: "",
  deniedByBindingId: "",
  deniedRule: "",
  shadowDenials: [],
  completedAt: undefined,
  cachedPromptTokens: undefined,
  cacheWriteTokens: undefined,
  promptAudioTokens: undefined,
  completionAudioTokens: undefined,
  reasoningTokens: undefined,
  serviceTier: undefined,
  upstreamStatus: undefined,
  upstreamRequestId: undefined,
  upstreamError: undefined,
} as const satisfies Partial<LoggedRequest>;

/** Explanation of the cost of a request. Undefined fields are unknown; of requests from before receipts, all are. */
export interface Receipt {
  /** Price of the charge; while pending or unknown, of the reservation. */
  readonly price: Price | undefined;
  /** Model that was billed, if it differs from the requested one. */
  readonly billedModel: string | undefined;
  /** Time of the admission; undefined for a denied request too. */
  readonly admittedAt: Date | undefined;
  /** Time from receiving the request to passing on the first output of its stream. */
  readonly timeToFirstTokenMs: number | undefined;
  /** Time from calling the upstream to the end of its answer. */
  readonly upstreamMs: number | undefined;
  /** Decisions of content patterns; a pattern that blocked comes first. */
  readonly guardrailDecisions: readonly GuardrailDecision[];
  /** Attempts in order, the last one being that of the answer; empty if there was at most one. */
  readonly attempts: readonly Attempt[];
  /** Amounts of the limit that denied it; undefined unless a budget or a rate limit did. */
  readonly deniedAmounts: DeniedAmounts | undefined;
}

/** Amounts of a limit that denied a request, in the unit of its rule: micro-USD, requests, tokens or concurrent requests. */
export interface DeniedAmounts {
  readonly limit: bigint;
  readonly remaining: bigint;
  /** Lowest bound with which the request could have been admitted. */
  readonly needed: bigint;
  /** Time from which the request would be admitted, or at which to try again; undefined if waiting does not help. */
  readonly retryAt: Date | undefined;
}

/** Attempt to get an answer for a request: one call of one model. */
export interface Attempt {
  readonly provider: string;
  /** Id at the provider. */
  readonly model: string;
  /** HTTP status of its answer; undefined if there was none. */
  readonly status: number | undefined;
  /** Error code of its failure; empty if it succeeded. */
  readonly errorCode: string;
  /** Time from receiving the request to calling the upstream; undefined if unknown. */
  readonly startedMs: number | undefined;
  /** Time from that call to its failure, or to the end of its answer. */
  readonly durationMs: number;
}

/** Effect of one content pattern on a request and its answer. Never contains the matched text. */
export interface GuardrailDecision {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
  /** Name of the pattern; empty if there was too much content to judge. */
  readonly pattern: string;
  /** Number of redactions in the request. */
  readonly requestRedactions: number;
  readonly responseRedactions: number;
  readonly blockedRequest: boolean;
  readonly blockedResponse: boolean;
}

/** Prices at which a request is charged, in pico-USD, and the version of their price table. */
export interface Price {
  readonly version: string;
  /** Price of one prompt token. */
  readonly inputPicoUsd: bigint;
  /** Price of one completion token. */
  readonly outputPicoUsd: bigint;
  /** Price of the request in addition to its tokens; undefined: none. */
  readonly requestPicoUsd?: bigint | undefined;
  /** Price of one cached prompt token. If this or a rate below is undefined, these tokens are charged like the others. */
  readonly cachedInputPicoUsd?: bigint | undefined;
  readonly cacheWritePicoUsd?: bigint | undefined;
  readonly inputAudioPicoUsd?: bigint | undefined;
  readonly outputAudioPicoUsd?: bigint | undefined;
  readonly reasoningPicoUsd?: bigint | undefined;
}

/** Denial that a binding in shadow mode would have made. */
export interface ShadowDenial {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
}

const MAX_TOKENS = BigInt(MAX_REQUEST_TOKENS);
const MIN_TIME_MS = Date.UTC(2000, 0, 1);
const MAX_TIME_MS = Date.UTC(2100, 0, 1);
const MAX_LIMIT_SET = 2 ** 31 - 1;

/** Finds the rule that a request breaks, so that it cannot be stored; undefined if it breaks none. */
export function findFault(request: LoggedRequest): string | undefined {
  const { createdAt, completedAt, expiresAt, status } = request;
  const timeFault =
    findTimeFault("created_at", createdAt) ??
    findTimeFault("completed_at", completedAt) ??
    findTimeFault("expires_at", expiresAt);
  if (timeFault !== undefined) return timeFault;
  if ((status === "pending") !== (completedAt === undefined)) return "completed_at: is required once settled";
  const slicesFault = request.slices && findSlicesFault(request.slices);
  if (slicesFault !== undefined) return slicesFault;
  const amounts = [
    ["prompt_tokens", request.promptTokens, MAX_TOKENS],
    ["completion_tokens", request.completionTokens, MAX_TOKENS],
    ["cost_nano_usd", request.costNanoUsd, MAX_REQUEST_COST_NANO_USD],
    ["reserved_nano_usd", request.reservedNanoUsd, MAX_REQUEST_COST_NANO_USD],
  ] as const;
  const broken = amounts.find(([, amount, max]) => amount < 0n || amount > max);
  return broken && `${broken[0]}: must be from 0 to ${broken[2]}`;
}

function findSlicesFault({ limitSet, countedAt, tokensMax }: AdmittedOnSlices): string | undefined {
  if (limitSet < 1 || limitSet > MAX_LIMIT_SET) return `limit_set: must be from 1 to ${MAX_LIMIT_SET}`;
  if (tokensMax < 0n || tokensMax > 2n * MAX_TOKENS) return `tokens_max: must be from 0 to ${2n * MAX_TOKENS}`;
  return findTimeFault("counted_at", countedAt);
}

const MAX_MS = 2 ** 31 - 1;
const isMs = (ms: number): boolean => ms >= 0 && ms <= MAX_MS;

/** Returns the receipt without implausible values. They do not make the request faulty, because its charge does not depend on them. */
export function withoutImplausible(receipt: Receipt): Receipt {
  const isRate = (rate = 0n): boolean => isUpTo(MAX_TOKEN_PRICE_PICO_USD, rate);
  const isPrice = (price: Price): boolean =>
    isRate(price.inputPicoUsd) &&
    isRate(price.outputPicoUsd) &&
    isUpTo(MAX_REQUEST_PRICE_PICO_USD, price.requestPicoUsd ?? 0n) &&
    isRate(price.cachedInputPicoUsd) &&
    isRate(price.cacheWritePicoUsd) &&
    isRate(price.inputAudioPicoUsd) &&
    isRate(price.outputAudioPicoUsd) &&
    isRate(price.reasoningPicoUsd);
  return {
    price: valueIf(receipt.price, isPrice),
    billedModel: receipt.billedModel,
    admittedAt: valueIf(receipt.admittedAt, isPlausibleTime),
    timeToFirstTokenMs: valueIf(receipt.timeToFirstTokenMs, isMs),
    upstreamMs: valueIf(receipt.upstreamMs, isMs),
    guardrailDecisions: receipt.guardrailDecisions.filter(
      ({ requestRedactions, responseRedactions }) => requestRedactions >= 0 && responseRedactions >= 0,
    ),
    attempts: receipt.attempts.filter(({ startedMs = 0, durationMs }) => isMs(startedMs) && isMs(durationMs)),
    deniedAmounts: valueIf(
      receipt.deniedAmounts,
      ({ limit, remaining, needed, retryAt }) =>
        limit >= 0n && remaining >= 0n && needed >= 0n && (retryAt === undefined || isPlausibleTime(retryAt)),
    ),
  };
}

/**
 * Attempts to get an answer. A single attempt is not recorded but derived from the other fields. Empty while pending, and if no upstream
 * was called.
 */
export function attemptsOf(request: Omit<LoggedRequest, "slices" | "expiresAt">): readonly Attempt[] {
  const { attempts, upstreamMs: durationMs, admittedAt } = request.receipt;
  if (attempts.length > 0 || durationMs === undefined) return attempts;
  const { provider, model, upstreamStatus: status, errorCode, createdAt } = request;
  const startedMs = admittedAt && Math.max(0, admittedAt.getTime() - createdAt.getTime());
  return [{ provider, model, status, errorCode, startedMs: valueIf(startedMs, isMs), durationMs }];
}

/** Returns the parts that do not exceed their wholes; the others are treated as unreported. */
export function withoutImplausibleParts(
  parts: Partial<TokenParts>,
  { promptTokens, completionTokens }: Pick<LoggedRequest, "promptTokens" | "completionTokens">,
): TokenParts {
  const isOfPrompt = (tokens: bigint): boolean => isUpTo(promptTokens, tokens);
  const isOfCompletion = (tokens: bigint): boolean => isUpTo(completionTokens, tokens);
  return {
    cachedPromptTokens: valueIf(parts.cachedPromptTokens, isOfPrompt),
    cacheWriteTokens: valueIf(parts.cacheWriteTokens, isOfPrompt),
    promptAudioTokens: valueIf(parts.promptAudioTokens, isOfPrompt),
    completionAudioTokens: valueIf(parts.completionAudioTokens, isOfCompletion),
    reasoningTokens: valueIf(parts.reasoningTokens, isOfCompletion),
  };
}

function isUpTo(max: bigint, amount: bigint): boolean {
  return amount >= 0n && amount <= max;
}

function valueIf<T>(value: T | undefined, condition: (value: T) => boolean): T | undefined {
  return value !== undefined && condition(value) ? value : undefined;
}

/** Finds the rule that a time breaks; an undefined time breaks none. */
export function findTimeFault(name: string, time: Date | undefined): string | undefined {
  return time === undefined || isPlausibleTime(time) ? undefined : `${name}: must be a time between 2000 and 2100`;
}

function isPlausibleTime(time: Date): boolean {
  const ms = time.getTime();
  return ms >= MIN_TIME_MS && ms < MAX_TIME_MS;
}
