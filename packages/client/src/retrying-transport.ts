import type { DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { isIdempotent } from "@routeplane/rpc";
import { toRouteplaneError } from "./convert-error.ts";
import type { RouteplaneError } from "./error.ts";
import { RetryBudget, withRetries } from "./retry.ts";

/** Time that must be left of a deadline for another attempt. */
const MIN_ATTEMPT_MS = 50;

/**
 * Creates a transport that retries unary calls if that is safe, and rejects with a RouteplaneError. The deadline of a call covers all its
 * attempts. A stream is opened once.
 */
export function retryingTransport(transport: Transport, defaultTimeoutMs: number): Transport {
  const budget = new RetryBudget();
  return {
    unary(method, signal, timeoutMs, header, input, contextValues) {
      const totalMs = timeoutMs ?? defaultTimeoutMs;
      const deadline = totalMs > 0 ? performance.now() + totalMs : Infinity;
      const attempt = () => {
        const leftMs = deadline === Infinity ? 0 : Math.max(1, Math.ceil(deadline - performance.now()));
        return transport.unary(method, signal, leftMs, header, input, contextValues).catch(rethrow);
      };
      return withRetries(attempt, {
        budget,
        signal,
        isRetryable: (error) => isRetryable(error, method) && retryTime(error) + MIN_ATTEMPT_MS < deadline,
      });
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const call = transport.stream(method, signal, timeoutMs ?? defaultTimeoutMs, header, input, contextValues);
      const response = await call.catch(rethrow);
      return { ...response, message: converted(response.message) };
    },
  };
}

/** Monotonic time before which a retry cannot succeed. */
function retryTime({ retryAt }: RouteplaneError): number {
  return performance.now() + (retryAt === undefined ? 0 : retryAt.getTime() - Date.now());
}

async function* converted<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    rethrow(error);
  }
}

function rethrow(error: unknown): never {
  throw toRouteplaneError(error);
}

function isRetryable(error: RouteplaneError, method: DescMethod): boolean {
  switch (error.reason) {
    // The call was refused before any of it was read.
    case "RATE_LIMITED":
      return true;
    case "UNREACHABLE":
      return isIdempotent(method) || wasNeverSent(error);
    case "DEPENDENCY_UNAVAILABLE":
      return isIdempotent(method);
    default:
      return false;
  }
}

/** Codes of Node.js for a connection that was never made. */
const NEVER_CONNECTED = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);
/** Maximum depth of a chain of causes that is searched. */
const MAX_CAUSES = 8;

function wasNeverSent(error: Error): boolean {
  let current: unknown = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    if ("code" in current && typeof current.code === "string" && NEVER_CONNECTED.has(current.code)) return true;
    current = current.cause;
  }
  return false;
}
