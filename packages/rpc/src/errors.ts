import { create, type DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { DomainError, type ErrorCode, type ErrorReason } from "@routeplane/domain";
import { safeText } from "./safe-text.ts";

/** Connect code of each domain error code. Only this file converts between the two. A cause never crosses the wire. */
const CODES: Record<ErrorCode, Code> = {
  invalid_argument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
};

/** Domain of `google.rpc.ErrorInfo`. */
const DOMAIN = "routeplane";

/** Reasons of the errors that are raised by this package and the library instead of a domain. */
type TransportReason =
  | "INTERNAL"
  | "FIELD_INVALID"
  | "DEADLINE_EXCEEDED"
  | "CANCELLED"
  | "TOO_LARGE"
  | "METHOD_UNKNOWN";

const TRANSPORT_REASONS: Partial<Record<Code, TransportReason>> = {
  [Code.InvalidArgument]: "FIELD_INVALID",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.Canceled]: "CANCELLED",
  [Code.ResourceExhausted]: "TOO_LARGE",
  [Code.Unimplemented]: "METHOD_UNKNOWN",
};

/** Converts an error to the one that the caller gets. An unexpected error becomes INTERNAL, without its message. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof DomainError) return connectError(CODES[error.code], error.message, error.reason, error);
  if (error instanceof ConnectError && error.code !== Code.Internal && error.code !== Code.Unknown) {
    return connectError(error.code, error.rawMessage, TRANSPORT_REASONS[error.code] ?? "INTERNAL");
  }
  return connectError(Code.Internal, "internal error; the request id finds it in the log", "INTERNAL");
}

/** Bound of the size of a message in the errors of the library, which speak of its option. */
const READ_MAX_BYTES = /\bconfigured readMaxBytes (\d+)/;

/**
 * Converts an error that the library raised itself, past all interceptors, for a request that it cannot read: adds the reason. A binary
 * message that cannot be parsed is a fault of the caller; the library reports it as its own.
 *
 * @returns undefined if the error is complete, or is a fault of the service
 */
export function fromLibraryError(error: ConnectError, { input }: DescMethod): ConnectError | undefined {
  if (infoOf(error) !== undefined) return undefined;
  if (error.code === Code.Internal) {
    if (!error.rawMessage.startsWith("parse binary: ")) return undefined;
    return connectError(Code.InvalidArgument, `the message is not a ${input.typeName}`, "FIELD_INVALID");
  }
  const [, maxBytes] = READ_MAX_BYTES.exec(error.rawMessage) ?? [];
  if (maxBytes === undefined) return toConnectError(error);
  return toConnectError(new ConnectError(`the message is larger than ${maxBytes} bytes`, error.code));
}

function connectError(
  code: Code,
  message: string,
  reason: ErrorReason | TransportReason,
  { fields = [], metadata = {} }: Partial<Pick<DomainError, "fields" | "metadata">> = {},
): ConnectError {
  const safe = Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, safeText(value)]));
  const info = create(ErrorInfoSchema, { reason, domain: DOMAIN, metadata: safe });
  const details = [{ desc: ErrorInfoSchema, value: info }];
  if (fields.length === 0) return new ConnectError(safeText(message), code, undefined, details);
  const fieldViolations = fields.map(({ field, rule }) => ({ field: safeText(field), description: safeText(rule) }));
  const badRequest = { desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) };
  return new ConnectError(safeText(message), code, undefined, [...details, badRequest]);
}

/**
 * Converts the error of a call to another service. An error that the service returned is kept, with its reason and fields; any
 * other (refused connection, time-out, a fault of the service) becomes UNAVAILABLE and names the dependency.
 */
export function fromConnectError(error: unknown, dependency: string): DomainError {
  const connect = ConnectError.from(error);
  const [code] = Object.entries(CODES).find(([name, value]) => value === connect.code && name !== "unavailable") ?? [];
  const info = infoOf(connect);
  if (code !== undefined && info !== undefined) {
    const { reason, metadata } = info;
    const fields = connect
      .findDetails(BadRequestSchema)
      .flatMap((detail) => detail.fieldViolations.map(({ field, description }) => ({ field, rule: description })));
    return new DomainError(code as ErrorCode, reason as ErrorReason, connect.rawMessage, {
      metadata,
      fields,
      cause: error,
    });
  }
  return new DomainError(
    "unavailable",
    "DEPENDENCY_UNAVAILABLE",
    `the ${dependency} service does not answer; try again`,
    {
      metadata: { dependency },
      cause: error,
    },
  );
}

/** True for an error that a service of the node returned, rather than its connection or the library. */
export function isServiceError(error: unknown): boolean {
  return infoOf(ConnectError.from(error)) !== undefined;
}

function infoOf(error: ConnectError) {
  return error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === DOMAIN);
}
