import type { ConnectRouter } from "@connectrpc/connect";
import { LIMITS } from "./limits.ts";

/** Units of the header `grpc-timeout`, in milliseconds. */
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Bounds the deadline of every call. The library refuses a deadline above the maximum, and gives a call without one no deadline. Here a
 * unary call has at most `LIMITS.maxTimeoutMs` in both cases. A stream may last longer: its deadline is left to its caller.
 */
export function boundDeadlines(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      const isUnary = handler.method.methodKind === "unary";
      const handle = (request: Parameters<typeof handler>[0]) => {
        const isGrpc = request.header.get("content-type")?.startsWith("application/grpc") === true;
        const [name, max] = isGrpc
          ? ["grpc-timeout", `${LIMITS.maxTimeoutMs}m`]
          : ["connect-timeout-ms", String(LIMITS.maxTimeoutMs)];
        const timeout = request.header.get(name);
        if (timeout !== null && !(timeoutMsOf(timeout, isGrpc) > LIMITS.maxTimeoutMs)) return handler(request);
        const header = new Headers(request.header);
        if (isUnary) header.set(name, max);
        else header.delete(name);
        return handler({ ...request, header });
      };
      handlers[index] = Object.assign(handle, handler);
    }
  };
}

/** Value of a time-out header; NaN if it is malformed, which the library refuses. */
function timeoutMsOf(text: string, isGrpc: boolean): number {
  if (!isGrpc) return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  const [, amount, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  return Number(amount) * (UNIT_MS[unit] ?? Number.NaN);
}
