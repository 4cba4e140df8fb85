import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { currentOf, type WatchedSecret } from "@routeplane/runtime";
import { isIdempotent } from "../access.ts";
import { isServiceError } from "../errors.ts";
import { CALL_TIMEOUT_MS } from "../staleness.ts";
import { observeCalls } from "./observe-calls.ts";
import type { ServiceAddress } from "./service-address.ts";
import { type CallOutcome, ServiceConnection, type ServiceConnectionOptions } from "./service-connection.ts";

export interface ServiceTransportOptions extends ServiceConnectionOptions {
  /** Service credential of this caller, read at each call. Without one, only public methods can be called. */
  readonly serviceToken?: string | WatchedSecret;
  /** Deadline of a call, in milliseconds; sent with it. `CALL_TIMEOUT_MS` by default. */
  readonly timeoutMs?: number;
  /** Connection to the same address, if it is shared. A new one by default. */
  readonly connection?: ServiceConnection;
}

/** Prefix of service credentials. One that is refused says nothing about the caller's request: the service is unavailable. */
const SERVICE_PREFIX = "rps_";
/** Time for which a refused service credential is logged once. */
const LOG_INTERVAL_MS = 10_000;

/** Time that must be left of a deadline for another attempt. */
const MIN_ATTEMPT_MS = 50;

/**
 * Creates a transport to another service: Connect over HTTP/2, with the caller's service credential and a deadline on every call.
 *
 * A call of an idempotent method that gets no response, or UNAVAILABLE, is made once more on another address within its deadline;
 * any call that the peer refused to begin is made again.
 * A stream of an idempotent method ends with CANCELLED when the session under it is to be closed, so that its caller opens it
 * again elsewhere; a change feed has no gap by that.
 */
export function serviceTransport(options: ServiceTransportOptions): Transport {
  const { timeoutMs: defaultTimeoutMs = CALL_TIMEOUT_MS, connection = new ServiceConnection(options) } = options;
  const transports = new WeakMap<ServiceAddress, Transport>();
  const transportOf = (address: ServiceAddress): Transport => {
    const transport = transports.get(address) ?? addressTransport(address, options, defaultTimeoutMs);
    transports.set(address, transport);
    return transport;
  };
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const totalMs = timeoutMs ?? defaultTimeoutMs;
      const deadline = totalMs > 0 ? performance.now() + totalMs : undefined;
      const call = {
        outcomeOf,
        isIdempotent: isIdempotent(method),
        isWanted: () =>
          signal?.aborted !== true && (deadline === undefined || deadline - performance.now() > MIN_ATTEMPT_MS),
        timeoutMs: totalMs > 0 ? totalMs : undefined,
      };
      return connection.call(call, (address, abandoned) => {
        const leftMs = deadline === undefined ? 0 : Math.max(1, Math.ceil(deadline - performance.now()));
        const either = signal === undefined ? abandoned : AbortSignal.any([signal, abandoned]);
        return transportOf(address).unary(method, either, leftMs, header, input, contextValues);
      });
    },

    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const address = await connection.pick();
      const open = (either: AbortSignal | undefined) =>
        transportOf(address).stream(method, either, timeoutMs, header, input, contextValues);
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

function addressTransport(
  address: ServiceAddress,
  { serviceToken, log }: ServiceTransportOptions,
  defaultTimeoutMs: number,
): Transport {
  let loggedAt = -Infinity;
  const asService: Interceptor = (next) => (request) => {
    if (serviceToken === undefined) return next(request);
    const token = currentOf(serviceToken);
    request.header.set("authorization", `Bearer ${token}`);
    return next(request).catch((error: unknown) => {
      if (!token.startsWith(SERVICE_PREFIX) || ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      if (performance.now() - loggedAt >= LOG_INTERVAL_MS) {
        loggedAt = performance.now();
        const of = { service: address.authority, address: address.address };
        log?.error(of, "a service refuses the service credential of this process");
      }
      throw new ConnectError(
        "the service refuses the service credential",
        Code.Unavailable,
        undefined,
        undefined,
        error,
      );
    });
  };
  return createConnectTransport({
    baseUrl: address.authority,
    httpVersion: "2",
    useBinaryFormat: true,
    defaultTimeoutMs,
    interceptors: [asService, observeCalls],
    readMaxBytes: 4 << 20,
    sessionManager: address,
  });
}

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
