import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { ServiceCredentials } from "@routeplane/credentials";
import { counter, histogram, type Logger, withRequestId } from "@routeplane/runtime";
import { REQUEST_ID } from "../headers.ts";
import { findCallOrigin } from "./call-origin.ts";

const calls = counter({
  name: "routeplane_rpc_calls_total",
  help: "Calls that this process answered, by method and the code of the answer.",
  labels: ["method", "code"],
});
const seconds = histogram({
  name: "routeplane_rpc_call_seconds",
  help: "Time from the head of a call to its answer; of a stream to its head.",
  labels: ["method"],
});

/**
 * Interceptor that determines the origin of every call, logs one line for it and counts it. Calls that it makes to other
 * services carry its request id.
 */
export function observe(log: Logger, serviceCredentials: ServiceCredentials): Interceptor {
  return (next) => async (request) => {
    const { requestId } = findCallOrigin(serviceCredentials, request.header, request.contextValues);
    const call = beginCall(log, request.method, requestId);
    try {
      const response = await withRequestId(requestId, () => next(request));
      response.header.set(REQUEST_ID, call.requestId);
      call.succeeded();
      return response;
    } catch (error) {
      throw call.failed(error);
    }
  };
}

/** A call that has begun, and the line that is logged when it ends. */
export interface ObservedCall {
  readonly requestId: string;
  succeeded(): void;
  /** Logs the failure. @returns the error as the caller gets it, with the request id */
  failed(error: unknown): ConnectError;
}

export function beginCall(log: Logger, method: DescMethod, requestId: string): ObservedCall {
  const startedAt = performance.now();
  const { name, label, succeeded, durations } = seriesOf(method);
  const elapsedMs = (): number => {
    const ms = performance.now() - startedAt;
    durations.observe(ms / 1_000);
    return Math.round(ms);
  };
  return {
    requestId,
    succeeded() {
      const ms = elapsedMs();
      succeeded.inc();
      if (log.isLevelEnabled("debug")) log.debug({ requestId, method: name, code: "ok", ms }, "call");
    },
    failed(error) {
      const connect = ConnectError.from(error);
      connect.metadata.set(REQUEST_ID, requestId);
      const code = Code[connect.code];
      calls.inc({ method: label, code });
      log.info({ requestId, method: name, code, ms: elapsedMs() }, "call");
      return connect;
    },
  };
}

const SERIES = new WeakMap<DescMethod, ReturnType<typeof createSeries>>();

/** Names of a method in logs and metrics, and the counters of its calls. Looked up once, because calls are frequent. */
function seriesOf(method: DescMethod) {
  const known = SERIES.get(method);
  if (known !== undefined) return known;
  const created = createSeries(method);
  SERIES.set(method, created);
  return created;
}

function createSeries({ name, parent }: DescMethod) {
  const label = `${parent.name}/${name}`;
  return {
    name: `${parent.typeName}/${name}`,
    label,
    succeeded: calls.series({ method: label, code: "ok" }),
    durations: seconds.series({ method: label }),
  };
}
