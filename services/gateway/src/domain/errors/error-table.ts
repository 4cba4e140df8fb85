/**
 * The one table of the error codes that the gateway answers with. Every refusal is made from an entry of it, and docs/errors.md
 * is generated from it (`npm run generate`). A released code keeps its name, status and type: clients branch on them.
 */

/** Entry of the error table. The texts are for docs/errors.md; the message of a refusal says more about the request. */
export interface ErrorEntry {
  /** HTTP status. Not seen by the client if a stream has begun: the error is then the last event of the stream. */
  readonly status: number;
  /** Kind of fault in OpenAI's words, e.g. `invalid_request_error`. */
  readonly type: string;
  /** Type in place of `type` if the limit counts tokens; only for codes of limits. */
  readonly typeForTokens?: string;
  /**
   * True if the same request may succeed later. `sometimes` if each refusal decides. Where it is false the answer has
   * `x-should-retry: false`, which keeps the SDKs from sending the request again.
   */
  readonly retryable: boolean | "sometimes";
  /** Meaning of the code, as a sentence. */
  readonly meaning: string;
  /** Advice to the client, as a sentence. */
  readonly action: string;
}

export type ErrorCode = keyof typeof ERROR_TABLE;

export function entryOf(code: ErrorCode): ErrorEntry {
  return ERROR_TABLE[code];
}

/** Default type of an upstream's error that has none. */
export const INVALID_REQUEST = "invalid_request_error";

const BAD_REQUEST = { status: 400, type: INVALID_REQUEST, retryable: false } as const;

export const ERROR_TABLE = {
  invalid_value: {
    ...BAD_REQUEST,
    meaning: "A field of the body, or the header that `param` names, breaks a rule.",
    action: "Correct the field that `param` names, as the message says.",
  },
  invalid_body: {
    ...BAD_REQUEST,
    meaning: "The body is not a JSON object in UTF-8 within the bounds of size and depth, or it ended early.",
    action: "Send a whole JSON object.",
  },
  member_not_allowed: {
    ...BAD_REQUEST,
    meaning:
      "A member of the body would reach another model or address, or would be billed beyond the price of the model's tokens.",
    action: "Leave the member out, or ask the operator to allow it in the providers file.",
  },
  streaming_not_allowed: {
    ...BAD_REQUEST,
    meaning: "A guardrail that applies to the key does not allow streams.",
    action: "Send the request without `stream`.",
  },
  service_tier_not_allowed: {
    ...BAD_REQUEST,
    meaning:
      "A guardrail that applies to the key does not allow the service tier that the request names, or a request that names none.",
    action: "Name an allowed tier in `service_tier`, or leave it out.",
  },
  modality_not_allowed: {
    ...BAD_REQUEST,
    meaning: "A guardrail that applies to the key does not allow a kind of output that the request asks for.",
    action: "Leave it out of `modalities`.",
  },
  hosted_tool_not_allowed: {
    ...BAD_REQUEST,
    meaning: "A guardrail that applies to the key does not allow a tool of the request that the provider would run.",
    action: "Leave the tool out.",
  },
  model_not_for_route: {
    ...BAD_REQUEST,
    meaning: "The model answers another kind of request: one that makes embeddings does not chat, and the reverse.",
    action: "Send the request to the route that the message names, or name another model.",
  },
  not_supported_by_model: {
    ...BAD_REQUEST,
    meaning: "The request has tools, images, audio or documents, and the model is known not to take them.",
    action: "Leave out what the message names, or name a model that takes it.",
  },
  not_translatable: {
    ...BAD_REQUEST,
    meaning:
      "The upstream of the model speaks another wire than the route, and has no form for the field that `param` names. The table in packages/protocols says what becomes of each field.",
    action: "Leave the field out, or call a model whose upstream has it.",
  },
  max_request_tokens_exceeded: {
    ...BAD_REQUEST,
    meaning: "The request may use more tokens, input and output together, than a guardrail allows in one request.",
    action: "Send a shorter request, or a lower `max_tokens`.",
  },
  content_blocked: {
    ...BAD_REQUEST,
    meaning:
      "A content pattern of a guardrail matches the request or the answer, or there is too much of it to be judged. " +
      "Where it is the answer, the request has run and is charged.",
    action: "Take the blocked content out of the request. `pattern` names the pattern.",
  },
  content_uninspectable: {
    ...BAD_REQUEST,
    meaning:
      "A guardrail has content patterns and the request, or the answer, holds content that cannot be inspected: images, audio, " +
      "files that are not text, references to content elsewhere, encrypted reasoning.",
    action: "Send text, or ask for the guardrail's rule `uninspectable` to be set to `pass`.",
  },
  malformed_request: {
    ...BAD_REQUEST,
    meaning:
      "The bytes on the connection are not valid HTTP/1.1, or a proxy might read them differently. The connection is closed.",
    action: "Correct the client or the proxy before it.",
  },
  no_user_message: {
    ...BAD_REQUEST,
    meaning: "The built-in model `echo` repeats the last user message, and the request has none with text.",
    action: "Send a message of the role `user` with text.",
  },
  invalid_api_key: {
    status: 401,
    type: INVALID_REQUEST,
    retryable: false,
    meaning:
      "The request has no key, two different ones, or one that is unknown, revoked or expired; the message says which.",
    action: "Send one valid key, in `Authorization: Bearer` or in `x-api-key`.",
  },
  api_key_revoked: {
    status: 401,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The key was revoked, or its namespace suspended, while the request was running.",
    action: "Use another key.",
  },
  api_key_expired: {
    status: 401,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The key expired while the request was running.",
    action: "Use another key, or rotate keys before they expire.",
  },
  budget_exceeded: {
    status: 402,
    type: "insufficient_quota",
    retryable: "sometimes",
    meaning: "The request does not fit under a budget that applies to the key. `policy_id` and `binding_id` name it.",
    action: "Wait until `retry_at`, if it is there; else ask for the budget to be raised, or send a smaller request.",
  },
  model_price_unknown: {
    status: 403,
    type: "permission_error",
    retryable: false,
    meaning: "The price of the model is not known, and the operator refuses requests that cannot be priced.",
    action: "Use a model that `GET /v1/models` lists, or ask the operator to price this one in the providers file.",
  },
  insufficient_scope: {
    status: 403,
    type: "permission_error",
    retryable: false,
    meaning:
      "The credential lacks the scope that this needs, is no key of a namespace, or lost the scope while the request ran.",
    action: "Use a key that has the scope which the message names.",
  },
  model_not_allowed: {
    status: 403,
    type: "permission_error",
    retryable: false,
    meaning: "A guardrail that applies to the key does not allow the model.",
    action: "Use one of the models that `GET /v1/models` lists.",
  },
  model_not_found: {
    status: 404,
    type: INVALID_REQUEST,
    retryable: false,
    meaning:
      "The gateway has no model of that name. `GET /v1/models/{id}` also says so of a model that the key may not call.",
    action: "Use one of the models that `GET /v1/models` lists.",
  },
  unknown_url: {
    status: 404,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The gateway serves nothing at this path.",
    action: "Correct the base URL, which ends in `/v1`, or the path.",
  },
  method_not_allowed: {
    status: 405,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The path is served, but not by this HTTP method.",
    action: "Use a method that the header `allow` lists.",
  },
  request_timeout: {
    status: 408,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The request, its body included, did not arrive in time. The connection is closed.",
    action: "Send the request in one go, over a connection that is fast enough.",
  },
  idempotency_key_used: {
    status: 409,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "Another request of the key has this `Idempotency-Key`; this one was not sent upstream.",
    action: "Look up the request that `request_id` names; to ask once more, send another `Idempotency-Key`.",
  },
  request_too_large: {
    status: 413,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The body is larger than the route accepts.",
    action: "Send a smaller body.",
  },
  unsupported_encoding: {
    status: 415,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The body is compressed.",
    action: "Send it without `content-encoding`.",
  },
  expectation_failed: {
    status: 417,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The header `expect` asks for something other than `100-continue`. The connection is closed.",
    action: "Leave the header out.",
  },
  rate_limit_exceeded: {
    status: 429,
    type: "requests",
    typeForTokens: "tokens",
    retryable: "sometimes",
    meaning:
      "The request does not fit under a rate limit that applies to the key (`policy_id` and `binding_id` name it), or the " +
      "upstream receives more requests than it accepts (no `policy_id`).",
    action:
      "Wait for the seconds in `retry-after`, if it is there; else the request is larger than the limit: send less.",
  },
  judging_limit_exceeded: {
    status: 429,
    type: "requests",
    retryable: true,
    meaning:
      "The content patterns that apply to the key, and to the keys minted from the same root key, take more work than a gateway " +
      "does for them in a second.",
    action: "Wait for the seconds in `retry-after`, then send fewer or smaller requests.",
  },
  headers_too_large: {
    status: 431,
    type: INVALID_REQUEST,
    retryable: false,
    meaning: "The headers of the request are larger than 16 KiB. The connection is closed.",
    action: "Send fewer or shorter headers.",
  },
  internal_error: {
    status: 500,
    type: "server_error",
    retryable: true,
    meaning: "A fault of the gateway.",
    action: "Try again; report the `x-request-id`, by which the gateway's log has the cause.",
  },
  upstream_error: {
    status: 502,
    type: "upstream_error",
    retryable: "sometimes",
    meaning:
      "The upstream failed, or broke off its answer; or it refuses the gateway's own credentials or account, which only the " +
      "operator can mend and which is not retryable.",
    action: "Try again unless `x-should-retry` is `false`; then tell the operator.",
  },
  upstream_quota_exhausted: {
    status: 502,
    type: "upstream_error",
    retryable: false,
    meaning:
      "The operator's account at the upstream has no quota or credit left, or is closed. It is not a limit of the client's key.",
    action: "Tell the operator; trying again does not help.",
  },
  upstream_unreachable: {
    status: 502,
    type: "upstream_error",
    retryable: true,
    meaning: "There is no connection to the upstream. It was sent nothing, and nothing is charged.",
    action: "Try again.",
  },
  upstream_invalid_response: {
    status: 502,
    type: "upstream_error",
    retryable: true,
    meaning: "The upstream's answer is too large or too complex, or is not what its API promises.",
    action: "Try again; if it happens again, tell the operator.",
  },
  reservation_exhausted: {
    status: 502,
    type: "upstream_error",
    retryable: false,
    meaning:
      "The upstream sent more output than the request allows, and its reservation was used up, so the gateway ended the answer.",
    action: "Tell the operator: this upstream does not keep to `max_tokens`.",
  },
  upstream_overloaded: {
    status: 503,
    type: "upstream_error",
    retryable: "sometimes",
    meaning: "The upstream says that it is overloaded or unavailable for now (503 or 529). Nothing is charged.",
    action: "Wait for the seconds in `retry-after`, if it is there, then try again.",
  },
  overloaded: {
    status: 503,
    type: "server_error",
    retryable: true,
    meaning:
      "The gateway has as many running requests, connections or bytes of bodies as it may, of all callers or of this one's " +
      "namespace or key; or the request could not start in time. It was not sent upstream, and nothing is charged.",
    action: "Wait for the seconds in `retry-after`, then try again.",
  },
  dependency_unavailable: {
    status: 503,
    type: "server_error",
    retryable: true,
    meaning:
      "Something that the gateway cannot do without does not answer; `dependency` names it: `auth`, `policy`, `nats` or `spool`. " +
      "The gateway refuses rather than guess.",
    action: "Try again.",
  },
  provider_key_missing: {
    status: 503,
    type: "server_error",
    retryable: false,
    meaning: "The environment variable that should hold the key of the model's provider is not set at the gateway.",
    action: "Use another model, or tell the operator to set the variable that `variable` names.",
  },
  stopping: {
    status: 503,
    type: "server_error",
    retryable: true,
    meaning: "The gateway is stopping and ended the request.",
    action: "Try again.",
  },
  not_durable: {
    status: 503,
    type: "server_error",
    retryable: true,
    meaning: "The record of the admission could not be made durable, so the gateway ended the request.",
    action: "Try again.",
  },
  client_gone: {
    status: 503,
    type: "server_error",
    retryable: true,
    meaning: "The client left before it had the whole answer. Seen in the request log only.",
    action: "Nothing to do, unless clients time out too early.",
  },
  upstream_timeout: {
    status: 504,
    type: "upstream_error",
    retryable: true,
    meaning: "The upstream did not answer in time, or stopped in the middle of its answer.",
    action: "Try again, with a lower `max_tokens` or as a stream.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
