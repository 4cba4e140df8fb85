import type { UpstreamWords } from "./upstream-words.ts";

/** Status for each word for machines by which APIs name an error: lower case, letters and digits only. */
const STATUS_OF_LABEL: ReadonlyMap<string, number> = new Map(
  Object.entries({
    400: [
      "invalid_argument failed_precondition out_of_range bad_request bad_request_error invalid_request_error invalid_request",
      "validation validation_error validation_exception unprocessable_entity_error context_length_exceeded",
      "string_above_max_length invalid_value unsupported_value unsupported_parameter missing_required_parameter",
      "invalid_parameter content_filter content_policy_violation invalid_prompt model_error_exception",
      "context_window_exceeded_error exceed_context_size_error",
    ],
    401: [
      "unauthenticated authentication_error invalid_api_key api_key_invalid incorrect_api_key unauthorized",
      "invalid_authentication unrecognized_client_exception expired_token_exception",
    ],
    402: ["payment_required"],
    403: ["permission_denied permission_error permission_denied_error access_denied_exception forbidden access_denied"],
    404: ["not_found not_found_error model_not_found resource_not_found_exception deployment_not_found"],
    408: ["request_timeout"],
    409: ["already_exists aborted conflict"],
    413: ["request_too_large payload_too_large"],
    415: ["unsupported_media_type"],
    429: [
      "resource_exhausted rate_limit_error rate_limit_exceeded rate_limited rate_limit too_many_requests",
      "throttling_exception throttling requests tokens",
    ],
    500: [
      "internal unknown data_loss server_error internal_error internal_server_error internal_server_exception api_error",
    ],
    501: ["unimplemented"],
    503: [
      "unavailable service_unavailable service_unavailable_exception overloaded overloaded_error model_not_ready_exception",
    ],
    504: ["deadline_exceeded timeout timeout_error gateway_timeout model_timeout_exception"],
  }).flatMap(([status, names]) =>
    names.flatMap((each) => each.split(" ")).map((name) => [folded(name), Number(status)] as const),
  ),
);

/** Words for machines that say that the operator's account at the provider has nothing left, or is closed. */
const QUOTA_LABELS: ReadonlySet<string> = new Set(
  [
    "insufficient_quota quota_exceeded quota_exhausted exceeded_current_quota_error service_quota_exceeded_exception",
    "billing_hard_limit_reached billing_limit_reached billing_not_active billing_error payment_required",
    "account_deactivated organization_deactivated account_suspended account_overdue arrearage credit_limit",
    "insufficient_balance insufficient_credits insufficient_funds credit_balance_too_low budget_exceeded",
    "spend_limit_reached usage_limit_exceeded",
  ].flatMap((each) => each.split(" ").map(folded)),
);

/** Words for people that say the same. */
const QUOTA_MESSAGE =
  /exceeded your (?:current|monthly|assigned) quota|check your plan and billing|insufficient (?:account )?(?:balance|credit|fund|quota)|billing (?:hard )?limit|(?:spend|spending|budget|credit) limit|(?:used all|out of|any|more|purchase|add) (?:available |remaining )?credits|account (?:is|has been) (?:not active|deactivated|suspended|disabled|overdue)|quota (?:has been )?exhausted|credit balance is too low/i;
/** The only such message that comes with a status about the request, where a message may quote the client. */
const QUOTA_MESSAGE_OF_400 = /^your credit balance is too low/i;

const CREDENTIAL_LABELS: ReadonlySet<string> = new Set(
  [...STATUS_OF_LABEL].flatMap(([label, status]) => (status === 401 ? [label] : [])),
);
const CONTENT_LABELS: ReadonlySet<string> = new Set(["contentpolicyviolation", "contentfilter", "moderation"]);

/** Statuses about the client's request, which are passed on in the upstream's words. */
const REQUEST_STATUSES: ReadonlySet<number> = new Set([400, 404, 410, 413, 415, 422, 451]);
/** Statuses after which the same request may succeed, though it is not known when. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 409, 423, 424, 425, 449, 499]);
const LASTING_STATUSES: ReadonlySet<number> = new Set([501, 505, 510, 511]);

/**
 * Party that an upstream's error concerns: the client (`request`, `rate`), the operator's account at the provider (`quota`,
 * `credentials`), or the upstream itself (`overloaded`, `timeout`, `failure`).
 */
export type ErrorKind = "request" | "rate" | "quota" | "credentials" | "overloaded" | "timeout" | "failure";

/** Status of an error that came without one, by its own code, status or type; undefined if they name none. */
export function statusOfWords({ status, labels }: UpstreamWords): number | undefined {
  if (status !== undefined) return status;
  const named = labels.map(folded);
  if (named.some((label) => QUOTA_LABELS.has(label))) return 402;
  return named.map((label) => STATUS_OF_LABEL.get(label)).find((each) => each !== undefined);
}

/** Kind of an error, by its status and words. */
export function kindOfError(status: number | undefined, words: UpstreamWords): ErrorKind {
  if (status === 402 || saysQuota(status, words)) return "quota";
  const labels = words.labels.map(folded);
  const isCredential = labels.some((label) => CREDENTIAL_LABELS.has(label));
  if (status === 401 || (isCredential && (status === 400 || status === 403))) return "credentials";
  if (status === 403) return labels.some((label) => CONTENT_LABELS.has(label)) ? "request" : "credentials";
  if (status === 429) return "rate";
  if (status === 503 || status === 529) return "overloaded";
  if (status === 408 || status === 504 || status === 524) return "timeout";
  return status !== undefined && REQUEST_STATUSES.has(status) ? "request" : "failure";
}

function saysQuota(status: number | undefined, { labels, message = "", retryAfterSecs }: UpstreamWords): boolean {
  if (labels.some((label) => QUOTA_LABELS.has(folded(label)))) return true;
  if (status !== undefined && REQUEST_STATUSES.has(status)) return QUOTA_MESSAGE_OF_400.test(message);
  if (!QUOTA_MESSAGE.test(message)) return false;
  // A quota by the minute is a rate, and comes with a wait; one by the day does too.
  return retryAfterSecs === undefined || labels.some((label) => /perday|permonth/i.test(label));
}

/** True if the same request may succeed after this status. */
export function isPassing(status: number): boolean {
  return PASSING_STATUSES.has(status) || (status >= 500 && !LASTING_STATUSES.has(status));
}

function folded(label: string): string {
  return label.toLowerCase().replace(/[^a-z0-9]/g, "");
}
