import { Code } from "@connectrpc/connect";
import type { Reason } from "@routeplane/contracts/errors";

/** Reasons that this package adds to those of a node (`routeplane.errors.v1.Reason`, documented in docs/errors.md). */
export type ClientReason =
  /** No node answered: the address cannot be reached, or another program answers there. */
  | "UNREACHABLE"
  /** The node refuses the service credential of this process: its configuration is wrong, not the caller's credential. */
  | "SERVICE_CREDENTIAL_REFUSED"
  /** Too little is left of a budget for the request. */
  | "BUDGET_EXCEEDED"
  /** Too little is left of a rate limit for the request. */
  | "RATE_LIMIT_EXCEEDED"
  /** A node of a later release sent a reason that this package does not know. */
  | "UNKNOWN";

/** Reason of a `RouteplaneError`, for programs. */
export type ErrorReason = Exclude<keyof typeof Reason, "UNSPECIFIED"> | ClientReason;

/** Field of the request and the rule that it breaks. */
export interface FieldFault {
  readonly field: string;
  readonly rule: string;
}

export interface RouteplaneErrorOptions {
  /** Details for programs, e.g. `{scope: "keys:write"}`. Never holds a secret. */
  readonly info?: Readonly<Record<string, string>>;
  readonly fields?: readonly FieldFault[];
  /** Id of the call in the logs of the node. */
  readonly requestId?: string | undefined;
  /** Time from which a retry can succeed. */
  readonly retryAt?: Date | undefined;
  readonly cause?: unknown;
}

/** HTTP status of each code; 500 for any other. */
const HTTP_STATUS: ReadonlyMap<number, number> = new Map([
  [Code.Canceled, 499],
  [Code.InvalidArgument, 400],
  [Code.DeadlineExceeded, 504],
  [Code.NotFound, 404],
  [Code.AlreadyExists, 409],
  [Code.PermissionDenied, 403],
  [Code.ResourceExhausted, 429],
  [Code.FailedPrecondition, 400],
  [Code.Aborted, 409],
  [Code.Unimplemented, 501],
  [Code.Unavailable, 503],
  [Code.Unauthenticated, 401],
]);

/**
 * Error that every function of this package throws. Branch on `reason`; the message is for people and may change.
 *
 * Its members are those that servers read from a thrown error, so that an error of a handler becomes the right response: `statusCode` and
 * `headers` in Fastify, `getResponse` in Hono, `code` and the message in @grpc/grpc-js.
 */
export class RouteplaneError extends Error {
  override readonly name = "RouteplaneError";
  readonly reason: ErrorReason;
  /** Status code of gRPC and Connect, e.g. 16 for UNAUTHENTICATED. */
  readonly code: number;
  readonly info: Readonly<Record<string, string>>;
  readonly fields: readonly FieldFault[];
  readonly requestId: string | undefined;
  readonly retryAt: Date | undefined;

  constructor(code: number, reason: ErrorReason, message: string, options: RouteplaneErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.info = options.info ?? {};
    this.fields = options.fields ?? [];
    this.requestId = options.requestId;
    this.retryAt = options.retryAt;
  }

  /** Status of an HTTP response that reports this error: 402 for a budget, as at the gateway. */
  get statusCode(): number {
    return this.reason === "BUDGET_EXCEEDED" ? 402 : (HTTP_STATUS.get(this.code) ?? 500);
  }

  /** Headers of an HTTP response that reports this error. */
  get headers(): Readonly<Record<string, string>> {
    const retryAfterMs = this.retryAt === undefined ? undefined : this.retryAt.getTime() - Date.now();
    return {
      ...(this.statusCode === 401 && { "www-authenticate": "Bearer" }),
      ...(retryAfterMs !== undefined && { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
    };
  }

  /** Body of an HTTP response that reports this error. */
  toJSON(): { readonly error: { readonly reason: ErrorReason; readonly message: string } } {
    return { error: { reason: this.reason, message: this.message } };
  }

  /** HTTP response that reports this error. */
  getResponse(): Response {
    return Response.json(this, { status: this.statusCode, headers: this.headers });
  }
}
