import { type Denial, denialDetails } from "./denial.ts";

/** Members of an error object beyond type, code, message and param. */
type ErrorDetails = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

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
  /** True if the same request may succeed later. False tells the SDKs not to try again. */
  readonly retryable: boolean;
  /** `Retry-After` in seconds, or as an upstream wrote it. */
  readonly retryAfter: string | undefined;
  /** More members of the error object, e.g. `policy_id`. Never a secret. */
  readonly details: ErrorDetails;
  /** The policy, binding and rule that refused; undefined if no policy did. */
  readonly denial: Denial | undefined;

  /**
   * @param options.message what is wrong and what to do, for people; never a secret
   * @param options.details ignored if there is a denial: its own are shown
   * @param options.cause for the log; never crosses the wire
   */
  constructor(options: {
    readonly status: number;
    readonly type: string;
    readonly code: string | null;
    readonly message: string;
    readonly param?: string | null;
    readonly retryable?: boolean;
    readonly retryAfter?: string | undefined;
    readonly details?: ErrorDetails;
    readonly denial?: Denial;
    readonly cause?: unknown;
  }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    const { status, type, code, param = null, retryable = false, retryAfter, details = {}, denial } = options;
    this.status = status;
    this.type = type;
    this.code = code;
    this.param = param;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.details = denial === undefined ? details : denialDetails(denial);
    this.denial = denial;
  }
}

/** 400: a field of the body breaks a rule. */
export function badField(param: string, rule: string): Refusal {
  return new Refusal({
    status: 400,
    type: "invalid_request_error",
    code: "invalid_value",
    param,
    message: `'${param}' ${rule}`,
  });
}

/** 400: the body is not what this route takes at all. */
export function badBody(message: string): Refusal {
  return new Refusal({ status: 400, type: "invalid_request_error", code: "invalid_body", message });
}

export function bodyTooLarge(limitBytes: number): Refusal {
  const message = `the request body is larger than ${limitBytes} bytes`;
  return new Refusal({ status: 413, type: "invalid_request_error", code: "request_too_large", message });
}

/** 503: the bodies of all requests together take what this gateway has for them. */
export function bodiesTooLarge(): Refusal {
  return new Refusal({
    status: 503,
    type: "server_error",
    code: "overloaded",
    message: "the gateway holds as much of request bodies as it may; try again",
    retryable: true,
    retryAfter: "1",
  });
}

/** 404 as OpenAI words it. */
export function modelNotFound(model: string): Refusal {
  const message = `The model \`${model.slice(0, 100)}\` does not exist or you do not have access to it. GET /v1/models lists those that do.`;
  return new Refusal({ status: 404, type: "invalid_request_error", code: "model_not_found", param: "model", message });
}

/** 503: something that the gateway needs does not answer; it refuses rather than guess. */
export function dependencyDown(dependency: string, cause?: unknown): Refusal {
  return new Refusal({
    status: 503,
    type: "server_error",
    code: "dependency_unavailable",
    message: `${dependency} does not answer, so the request was not served; try again`,
    retryable: true,
    details: { dependency },
    cause,
  });
}

/** 502 or 504: the upstream did not give an answer that can be passed on. */
export function upstreamFailed(
  status: 502 | 504,
  code: "upstream_unreachable" | "upstream_timeout" | "upstream_invalid_response" | "upstream_error",
  message: string,
  cause?: unknown,
): Refusal {
  return new Refusal({ status, type: "upstream_error", code, message, retryable: true, cause });
}
