import { type Denial, denialDetails } from "./denial.ts";
import { entryOf, ERROR_TABLE, type ErrorCode } from "./error-table.ts";
import { retryAfterWait } from "./retry-after.ts";

/** Members of an error object beyond type, code, message and param. */
export type ErrorDetails = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

/** Error for a request that is not served. Carries what every error envelope needs; each route renders it in its own. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** HTTP status. */
  readonly status: number;
  /** Kind of fault in OpenAI's words, e.g. `invalid_request_error`. */
  readonly type: string;
  /** Code for machines, e.g. `model_not_found`; null if an upstream gave none. */
  readonly code: string | null;
  /** Field of the request that is at fault; null if none is. */
  readonly param: string | null;
  /** True if the same request may succeed later. If false, the SDKs do not send it again. */
  readonly retryable: boolean;
  /** `Retry-After` in seconds, or as an upstream wrote it. */
  readonly retryAfter: string | undefined;
  /** More members of the error object, e.g. `policy_id`. Never a secret. */
  readonly details: ErrorDetails;
  /** The policy, binding and rule that refused; undefined if no policy did. */
  readonly denial: Denial | undefined;

  /**
   * @param error code of the error table; or, of an upstream's error that is passed on, status, type and code in its words
   * @param message what is wrong and what to do, for people; never a secret
   * @param options.type another type of the entry, e.g. `typeForTokens`
   * @param options.retryable for a code that the table calls retryable sometimes, and for an upstream's error; false by default
   * @param options.details ignored if there is a denial: its own are shown
   * @param options.cause for the log; never crosses the wire
   */
  constructor(
    error: ErrorCode | UpstreamError,
    message: string,
    options: {
      readonly type?: string;
      readonly param?: string | null;
      readonly retryable?: boolean;
      readonly retryAfter?: string | undefined;
      readonly details?: ErrorDetails;
      readonly denial?: Denial;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const entry = typeof error === "string" ? { ...entryOf(error), code: error } : error;
    const { type = entry.type, param = null, retryable = false, retryAfter, details = {}, denial } = options;
    this.status = entry.status;
    this.type = type;
    this.code = entry.code;
    this.param = param;
    this.retryable = entry.retryable === "sometimes" ? retryable : entry.retryable;
    this.retryAfter = retryAfter;
    this.details = denial === undefined ? details : denialDetails(denial);
    this.denial = denial;
  }
}

/** Error of an upstream that is passed on in its own words; it need not be in the error table. */
export interface UpstreamError {
  readonly status: number;
  readonly type: string;
  /** Null if the upstream gave none. */
  readonly code: string | null;
  readonly retryable: boolean;
}

/** 400 for a field of the body that breaks a rule. */
export function badField(param: string, rule: string): Refusal {
  return new Refusal("invalid_value", `'${param}' ${rule}`, { param });
}

export function bodyTooLarge(limitBytes: number): Refusal {
  return new Refusal("request_too_large", `the request body is larger than ${limitBytes} bytes`);
}

/** 404 in the words of the OpenAI API. */
export function modelNotFound(model: string): Refusal {
  const message = `The model \`${model.slice(0, 100)}\` does not exist or you do not have access to it. GET /v1/models lists those that do.`;
  return new Refusal("model_not_found", message, { param: "model" });
}

/** 403 for a model without a known price, where the operator refuses such requests. */
export function modelPriceUnknown(model: string): Refusal {
  const message =
    `The price of the model \`${model.slice(0, 100)}\` is not known, and requests that cannot be priced are refused. ` +
    "Use another model, or ask the operator to price it in the providers file.";
  return new Refusal("model_price_unknown", message, { param: "model" });
}

/** 503 for a model whose provider has no key, because this environment variable is not set. */
export function providerKeyMissing(model: string, variable: string): Refusal {
  const message =
    `The model \`${model.slice(0, 100)}\` is unavailable: the key of its provider is missing. ` +
    `The operator must set the environment variable ${variable} at the gateway and restart it.`;
  return new Refusal("provider_key_missing", message, { param: "model", details: { variable } });
}

/** 503 for a dependency that does not answer: the gateway refuses rather than guess. */
export function dependencyDown(dependency: string, cause?: unknown): Refusal {
  const message = `${dependency} does not answer, so the request was not served; try again`;
  return new Refusal("dependency_unavailable", message, { details: { dependency }, cause });
}

/** 502 or 504 for an upstream that gave no answer that can be passed on; worth another try. */
export function upstreamFailed(
  code: Extract<ErrorCode, `upstream_${string}`>,
  message: string,
  cause?: unknown,
): Refusal {
  return new Refusal(code, message, { retryable: true, cause });
}

/** Refusal for a fault of the gateway itself. */
export function internalError(cause: unknown): Refusal {
  const message = "internal error of the gateway; the x-request-id of this answer finds it in the log";
  return new Refusal("internal_error", message, { cause });
}

/** Refusal for a budget (402) or rate limit (429) that the request does not fit under. */
export function limitExceeded(denial: Denial, nowMs: number): Refusal {
  const { rule, retryAt, message } = denial;
  const wait = retryAt === undefined ? { retryable: false } : retryAfterWait(retryAt.getTime() - nowMs);
  if (rule === "budget") return new Refusal("budget_exceeded", message, { denial, retryable: wait.retryable });
  const { typeForTokens, type } = ERROR_TABLE.rate_limit_exceeded;
  const options = { denial, type: rule === "rate_limit.max_tokens" ? typeForTokens : type };
  return new Refusal("rate_limit_exceeded", message, { ...options, ...wait });
}
