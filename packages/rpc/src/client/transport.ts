import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { currentOf, currentRequestId, type WatchedSecret } from "@routeplane/runtime";
import { isIdempotent } from "../access.ts";
import { isServiceError } from "../errors.ts";
import { REQUEST_ID } from "../headers.ts";
import { CALL_TIMEOUT_MS } from "../staleness.ts";
import { observeCall } from "./observe-call.ts";
import type { ServiceAddress } from "./service-address.ts";
import { type CallOutcome, ServiceConnection, type ServiceConnectionOptions } from "./service-connection.ts";
import { callUnary, MAX_MESSAGE_BYTES, toHeaders } from "./unary-call.ts";

export interface ServiceTransportOptions extends ServiceConnectionOptions {
  /** Service credential of this caller, read at each call. Without one, only public methods can be called. */
  readonly serviceToken?: string | WatchedSecret;
  /** Deadline of a call, in milliseconds; sent with it. `CALL_TIMEOUT_MS` by default. */
  readonly timeoutMs?: number;
  /** Connection to the same address, if it is shared. A new one by default. */
  readonly connection?: ServiceConnection;
}

/** Prefix of service credentials. A refused one is no fault of the caller's request: the service counts as unavailable. */
const SERVICE_PREFIX = "rps_";
/** Time for which a refused service credential is logged once. */
const LOG_INTERVAL_MS = 10_000;

/** Time that must be left of a deadline for another attempt. */
const MIN_ATTEMPT_MS = 50;

/**
 * Creates a transport to another service: Connect over HTTP/2, with the caller's service credential and a deadline on every call.
 *
 * A call of an idempotent method that gets no response, or UNAVAILABLE, is repeated once on another address within its deadline; any call
 * that the peer refused to begin is made again.
 * A stream of an idempotent method ends with CANCELLED when its session is about to close, so that its caller opens it again on another
 * one; a change feed loses nothing.
 */
export function serviceTransport(options: ServiceTransportOptions): Transport {
  const { timeoutMs: defaultTimeoutMs = CALL_TIMEOUT_MS, connection = new ServiceConnection(options) } = options;
  const explain = explainFailures(options);
  const transports = new WeakMap<ServiceAddress, Transport>();
  const streamsOf = (address: ServiceAddress): Transport => {
    const transport = transports.get(address) ?? streamTransport(address, options, defaultTimeoutMs, explain);
    transports.set(address, transport);
    return transport;
  };
  return {
    async unary(method, signal, timeoutMs, header, input) {
      const totalMs = timeoutMs ?? defaultTimeoutMs;
      const deadline = totalMs > 0 ? performance.now() + totalMs : undefined;
      const call = {
        outcomeOf,
        isIdempotent: isIdempotent(method),
        isWanted: () =>
          signal?.aborted !== true && (deadline === undefined || deadline - performance.now() > MIN_ATTEMPT_MS),
        timeoutMs: totalMs > 0 ? totalMs : undefined,
      };
      const response = await connection.call(call, (address, abandoned) => {
        const leftMs = deadline === undefined ? undefined : Math.max(1, Math.ceil(deadline - performance.now()));
        const headers = { ...(header && Object.fromEntries(new Headers(header))), ...callHeaders(options) };
        const callOptions = { headers, timeoutMs: leftMs, signals: [signal, abandoned] };
        return observeCall(method, () => callUnary(address, method, input, callOptions)).catch((error: unknown) => {
          throw explain(error, address);
        });
      });
      return {
        stream: false,
        service: method.parent,
        method,
        message: response.message,
        // Converted only when read, which few calls do.
        get header() {
          return toHeaders(response.headers);
        },
        trailer: NO_TRAILER,
      };
    },

    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const address = await connection.pick();
      const open = (either: AbortSignal | undefined) =>
        streamsOf(address).stream(method, either, timeoutMs, header, input, contextValues);
      if (!isIdempotent(method)) return open(signal);
      const moving = new AbortController();
      const release = address.subscribe((event) => {
        if (event === "retired" || connection.hasOther(address)) moving.abort();
      });
      try {
        const response = await open(signal === undefined ? moving.signal : AbortSignal.any([signal, moving.signal]));
        return { ...response, message: untilEnd(response.message, release) };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

type ExplainFailure = (error: unknown, address: ServiceAddress) => unknown;

/**
 * Creates the conversion of errors of calls. A refused service credential is a fault of the node, not of its caller, so it becomes
 * UNAVAILABLE and is logged at intervals.
 */
function explainFailures({ serviceToken, log }: ServiceTransportOptions): ExplainFailure {
  let loggedAt = -Infinity;
  return (error, { authority: service, address }) => {
    const isServiceToken = serviceToken !== undefined && currentOf(serviceToken).startsWith(SERVICE_PREFIX);
    if (!isServiceToken || ConnectError.from(error).code !== Code.Unauthenticated) return error;
    if (performance.now() - loggedAt >= LOG_INTERVAL_MS) {
      loggedAt = performance.now();
      log?.error({ service, address }, "a service refuses the service credential of this process");
    }
    const message = "the service refuses the service credential";
    return new ConnectError(message, Code.Unavailable, undefined, undefined, error);
  };
}

/** Headers of every call: the credential of this caller, and the id of the request within which the call is made. */
function callHeaders({ serviceToken }: ServiceTransportOptions): Record<string, string> {
  const requestId = currentRequestId();
  return {
    ...(serviceToken !== undefined && { authorization: `Bearer ${currentOf(serviceToken)}` }),
    ...(requestId !== undefined && { [REQUEST_ID]: requestId }),
  };
}

/** Creates the transport of an address for calls with streams. */
function streamTransport(
  address: ServiceAddress,
  options: ServiceTransportOptions,
  defaultTimeoutMs: number,
  explain: ExplainFailure,
): Transport {
  const withHeaders: Interceptor = (next) => (request) => {
    for (const [name, value] of Object.entries(callHeaders(options))) request.header.set(name, value);
    return observeCall(request.method, () => next(request)).catch((error: unknown) => {
      throw explain(error, address);
    });
  };
  return createConnectTransport({
    baseUrl: address.authority,
    httpVersion: "2",
    useBinaryFormat: true,
    defaultTimeoutMs,
    interceptors: [withHeaders],
    readMaxBytes: MAX_MESSAGE_BYTES,
    sessionManager: address,
  });
}

/** Connect sends the trailers of a unary call as headers; no service of the node has any. */
const NO_TRAILER = new Headers();

async function* untilEnd<T>(messages: AsyncIterable<T>, onEnd: () => void): AsyncGenerator<T> {
  try {
    yield* messages;
  } finally {
    onEnd();
  }
}

const UNANSWERED = new Set([Code.Unavailable, Code.Aborted, Code.Internal, Code.Unknown, Code.Canceled]);

/** UNAVAILABLE counts as no answer, because another process of the service may give one. */
function outcomeOf(error: unknown): CallOutcome {
  const { code, message } = ConnectError.from(error);
  if (isServiceError(error)) return code === Code.Unavailable ? "unanswered" : "answered";
  if (message.includes("REFUSED_STREAM")) return "refused";
  return UNANSWERED.has(code) ? "unanswered" : "answered";
}
