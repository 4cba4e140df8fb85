import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, endStreamFlag, endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "../errors.ts";
import { REQUEST_ID } from "../headers.ts";
import { UnknownOutcome } from "./service-relay.ts";

/** Converts an error of a relayed call to the one for the client. @param service name of the service that was called */
export function toRelayError(error: unknown, service: string): ConnectError {
  if (error instanceof DomainError) return toConnectError(error);
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded) return error;
  if (error instanceof UnknownOutcome) {
    const message = `the ${service} service did not answer, and may have done the call: check before you try again`;
    const metadata = { dependency: service, outcome: "unknown" };
    return toConnectError(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata }));
  }
  // The message of any other error may contain the address of the service, which callers must not learn.
  const message = `the ${service} service does not answer; try again`;
  const metadata = { dependency: service };
  return toConnectError(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata }));
}

/** Answer of HTTP in the services' own format. */
export interface ConnectAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

export interface ConnectAnswerOptions {
  /** Method that was called; undefined if there is no such method. */
  readonly method?: DescMethod;
  /** HTTP status of an answer that is no stream; that of the error's code by default. */
  readonly status?: number;
  /** Content type of the request. */
  readonly requestType: string | undefined;
  readonly requestId: string;
}

/**
 * Converts an error to an answer in the services' own format: a call to a streaming method gets it within the stream, whose HTTP
 * status is 200.
 */
export function toConnectAnswer(error: ConnectError, options: ConnectAnswerOptions): ConnectAnswer {
  const { method, status = codeToHttpStatus(error.code), requestType, requestId } = options;
  if (
    method === undefined ||
    method.methodKind === "unary" ||
    requestType?.startsWith("application/connect+") !== true
  ) {
    return { status, type: "application/json", body: Buffer.from(JSON.stringify(errorToJson(error, undefined))) };
  }
  error.metadata.set(REQUEST_ID, requestId);
  const message = Buffer.from(JSON.stringify(endStreamToJson(error.metadata, error, undefined)));
  const head = Buffer.from([endStreamFlag, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  return { status: 200, type: requestType, body: Buffer.concat([head, message]) };
}
