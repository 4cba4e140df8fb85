/** The one error type of every domain. `packages/rpc` converts it to a Connect error, in one place. */

/** Category of a `DomainError`: the Connect code of the same name. */
export type ErrorCode =
  | "invalid_argument"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "already_exists"
  | "failed_precondition"
  | "aborted"
  | "resource_exhausted"
  | "unavailable";

/** Names of `routeplane.errors.v1.Reason`, without their prefix. */
export type ErrorReason =
  | "CREDENTIAL_MISSING"
  | "CREDENTIAL_INVALID"
  | "CREDENTIAL_REVOKED"
  | "CREDENTIAL_EXPIRED"
  | "NAMESPACE_SUSPENDED"
  | "NAMESPACE_DELETED"
  | "SCOPE_MISSING"
  | "CREDENTIAL_REPLACED"
  | "OPERATOR_REQUIRED"
  | "KEY_REQUIRED"
  | "SERVICE_REQUIRED"
  | "SESSION_CREDENTIAL_REFUSED"
  | "INTERNAL_ONLY"
  | "RESOURCE_NOT_FOUND"
  | "NAME_TAKEN"
  | "NAME_AMBIGUOUS"
  | "ACCOUNT_LIMITED"
  | "FIELD_INVALID"
  | "SCOPE_EXCEEDS_PARENT"
  | "EXPIRY_EXCEEDS_PARENT"
  | "LIMIT_EXCEEDS_PARENT"
  | "LINEAGE_TOO_DEEP"
  | "KEY_OUT_OF_LINEAGE"
  | "OPERATOR_OUT_OF_LINEAGE"
  | "KEY_WIDENED"
  | "STATE_CONFLICT"
  | "ETAG_MISMATCH"
  | "BINDING_EXISTS"
  | "POLICY_BOUND"
  | "POLICY_BINDS_CALLER"
  | "POLICY_OUT_OF_LINEAGE"
  | "PRINCIPAL_OUT_OF_LINEAGE"
  | "LIMIT_REACHED"
  | "RATE_LIMITED"
  | "IDEMPOTENCY_KEY_USED"
  | "SESSION_ENDED"
  | "DEPENDENCY_UNAVAILABLE";

/** A field of the request and the rule that it breaks, e.g. `{field: "spec.budget.limit_micro_usd", rule: "must be > 0"}`. */
export interface FieldFault {
  readonly field: string;
  readonly rule: string;
}

export interface DomainErrorOptions {
  readonly fields?: readonly FieldFault[];
  /** Details for programs, e.g. `{scope: "keys:write"}`. Never holds a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The underlying error, for the log; never crosses the wire. */
  readonly cause?: unknown;
}

/** Error that a rule of a domain throws. */
export class DomainError extends Error {
  override readonly name = "DomainError";
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  readonly fields: readonly FieldFault[];
  readonly metadata: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, reason: ErrorReason, message: string, options: DomainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.fields = options.fields ?? [];
    this.metadata = options.metadata ?? {};
  }
}

/** Error for a field that breaks a rule: INVALID_ARGUMENT, naming both. */
export function invalidField(field: string, rule: string): DomainError {
  return new DomainError("invalid_argument", "FIELD_INVALID", `${field}: ${rule}`, { fields: [{ field, rule }] });
}

/** The one error for unknown, foreign and malformed ids, so that callers cannot distinguish them. */
export function notFound(): DomainError {
  return new DomainError("not_found", "RESOURCE_NOT_FOUND", "not found: there is no such resource in this namespace");
}

/**
 * Error for a service credential that is used in place of a key or an operator credential. The message does not depend on whether it is
 * valid.
 */
export function serviceCredentialMisused(): DomainError {
  return new DomainError("unauthenticated", "CREDENTIAL_INVALID", SERVICE_CREDENTIAL_MISUSED);
}

/** Message for a service credential that is used in place of a key. */
export const SERVICE_CREDENTIAL_MISUSED =
  "a service credential (rps_…) only verifies keys and admits requests, at the ports of the node's services: use an API key (rp_…) here";

/** A token that a rotation replaced, used for a call that it no longer permits. */
export interface ReplacedToken {
  readonly kind: "key" | "operator" | "service";
  /** First moment at which the token is refused altogether. */
  readonly graceEndsAt: Date;
}

/**
 * Error for a call that needs a scope which a replaced token does not keep: PERMISSION_DENIED.
 *
 * @param scope scope that the call needs
 */
export function tokenReplaced({ kind, graceEndsAt }: ReplacedToken, scope: string): DomainError {
  const end = graceEndsAt.toISOString();
  const may = kind === "key" ? "invoke and read" : "read";
  const message = `this needs the scope ${scope}, and your token was replaced by a rotation: until its grace ends, at ${end}, it may only ${may}; use the new token`;
  return new DomainError("permission_denied", "CREDENTIAL_REPLACED", message, {
    metadata: { scope, grace_ends_at: end },
  });
}
