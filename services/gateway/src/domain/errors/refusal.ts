/**
 * Why the gateway does not answer an inference request with a model's answer. Carries what every envelope needs; each route
 * renders it in its own.
 */
export interface RefusalFacts {
  /** HTTP status. */
  readonly status: number;
  /** OpenAI's word for the kind of fault, e.g. `invalid_request_error`. */
  readonly type: string;
  /** For machines, e.g. `model_not_found`. */
  readonly code: string | null;
  /** For people: what is wrong and what to do. Never a secret. */
  readonly message: string;
  /** The field of the request that is at fault. */
  readonly param?: string | null;
  /** Whether the same request may succeed later. False tells the SDKs not to try again. */
  readonly retryable?: boolean;
  /** `Retry-After` in seconds, or as an upstream wrote it. */
  readonly retryAfter?: string | undefined;
  /** More members of the error object, e.g. `policy_id`. Never a secret. */
  readonly details?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  /** For the log; never crosses the wire. */
  readonly cause?: unknown;
}

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly facts: RefusalFacts;

  constructor(facts: RefusalFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.facts = facts;
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
