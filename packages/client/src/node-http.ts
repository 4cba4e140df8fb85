import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import type { CallHeaders } from "./call-headers.ts";
import { RouteplaneError } from "./error.ts";
import type { Caller, Requirement, Verifier } from "./verifier.ts";

/** Request of an authenticated caller. */
export interface AuthenticatedCall {
  readonly caller: Caller;
  /** Aborted if the caller's key is revoked, or otherwise ends, while the request runs. */
  readonly signal: AbortSignal;
}

export type AuthenticatedListener = (
  request: IncomingMessage,
  response: ServerResponse,
  call: AuthenticatedCall,
) => void | Promise<void>;

/**
 * Authenticates a call of node:http, or of a framework on top of it. A response that is running when the caller's key is revoked, or
 * otherwise ends, is destroyed.
 *
 *     app.addHook("onRequest", ({ raw }, reply) => authenticateCall(keys, { scope: "inference:invoke" }, raw, reply.raw)); // Fastify
 *
 * @param response response of node:http or node:http2
 * @throws RouteplaneError as the verifier
 */
export async function authenticateCall(
  verifier: Verifier,
  requirement: Requirement,
  { headers }: { readonly headers: CallHeaders },
  response: Writable,
): Promise<AuthenticatedCall> {
  // The client may disconnect while its key is verified. A response of node:http2 does not tell afterwards that it was closed.
  let isClosed = false;
  let release: (() => void) | undefined;
  response.once("close", () => {
    isClosed = true;
    release?.();
  });
  const { caller, signal, release: end } = await verifier.subscribe(headers, requirement);
  if (isClosed || response.closed) end();
  else release = end;
  signal.addEventListener("abort", () => response.destroy(), { once: true });
  return { caller, signal };
}

/**
 * Protects a server of node:http: the listener receives only requests with a valid key; others are refused with the status and body of the
 * error. A response that is running when its key is revoked is destroyed, and what the listener throws from then on is ignored. A
 * `RouteplaneError` that the listener throws earlier, e.g. a denial by a budget, is answered in the same way.
 *
 *     const server = createServer(protect(keys, { scope: "inference:invoke" }, (request, response, { caller }) => …));
 */
export function protect(
  verifier: Verifier,
  requirement: Requirement,
  listener: AuthenticatedListener,
): RequestListener {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let call: AuthenticatedCall;
    try {
      call = await authenticateCall(verifier, requirement, request, response);
    } catch (error) {
      return answer(request, response, error);
    }
    if (response.closed) return;
    try {
      await listener(request, response, call);
    } catch (error) {
      // The response is destroyed already, and work that was given the signal fails.
      if (call.signal.aborted) return;
      answer(request, response, error);
    }
  };
  return (request, response) => void serve(request, response);
}

/** Answers with an error. @throws any error other than a RouteplaneError, as an unprotected listener would */
function answer(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!(error instanceof RouteplaneError)) throw error;
  if (response.headersSent) return void response.destroy();
  const body = JSON.stringify(error);
  response.writeHead(error.statusCode, {
    ...error.headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    // The rest of the request is not read.
    ...(!request.complete && { connection: "close" }),
  });
  response.end(body);
}
