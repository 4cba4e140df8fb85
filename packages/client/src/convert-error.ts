import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "@routeplane/contracts/errors";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "@routeplane/rpc";
import { type ErrorReason, RouteplaneError } from "./error.ts";
import { RefusedCredential } from "./own-credential.ts";

/** Reasons of calls that no node answered, by the code of the error. */
const WITHOUT_ANSWER: Partial<Record<Code, ErrorReason>> = {
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.Canceled]: "CANCELLED",
  [Code.ResourceExhausted]: "TOO_LARGE",
};

/** Converts any error of a call to a `RouteplaneError`. */
export function toRouteplaneError(error: unknown): RouteplaneError {
  if (error instanceof RouteplaneError) return error;
  const refused = findRefusedCredential(error);
  if (refused !== undefined) {
    const message = "the node refuses the service credential of this process";
    return new RouteplaneError(Code.Unavailable, "SERVICE_CREDENTIAL_REFUSED", message, { cause: refused });
  }
  const connectError = error instanceof DomainError ? toConnectError(error) : ConnectError.from(error);
  return fromConnectError(connectError, error);
}

function fromConnectError(connectError: ConnectError, cause: unknown): RouteplaneError {
  const { code, rawMessage } = connectError;
  const info = connectError.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "routeplane");
  if (info === undefined) {
    const reason = WITHOUT_ANSWER[code];
    if (reason !== undefined) return new RouteplaneError(code, reason, rawMessage, { cause });
    return new RouteplaneError(Code.Unavailable, "UNREACHABLE", `no node answers: ${rawMessage}`, { cause });
  }
  const retryAfterSecs = Number(info.metadata["retry_after"]);
  return new RouteplaneError(code, reasonOf(info.reason), rawMessage, {
    info: info.metadata,
    fields: connectError
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) =>
        fieldViolations.map(({ field, description }) => ({ field, rule: description })),
      ),
    requestId: connectError.metadata.get("x-request-id") ?? undefined,
    retryAt: retryAfterSecs > 0 ? new Date(Date.now() + retryAfterSecs * 1_000) : undefined,
    cause,
  });
}

function reasonOf(text: string): ErrorReason {
  return text !== "UNSPECIFIED" && Object.hasOwn(Reason, text) && Number.isNaN(Number(text))
    ? (text as ErrorReason)
    : "UNKNOWN";
}

/** Maximum depth of a chain of causes that is searched. */
const MAX_CAUSES = 8;

function findRefusedCredential(error: unknown): RefusedCredential | undefined {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    if (current instanceof RefusedCredential) return current;
    current = current.cause;
  }
  return undefined;
}
