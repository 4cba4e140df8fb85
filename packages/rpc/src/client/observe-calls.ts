import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { counter, currentRequestId, histogram } from "@routeplane/runtime";
import { REQUEST_ID } from "../headers.ts";

const seconds = histogram({
  name: "routeplane_dependency_call_seconds",
  help: "Duration of the attempts of calls to other services; of a stream until its head.",
  labels: ["method"],
});
const failures = counter({
  name: "routeplane_dependency_call_failures_total",
  help: "Attempts of calls to other services that failed, by the code of the error.",
  labels: ["method", "code"],
});

/** Interceptor that gives every call to another service the id of the current request, and counts and times it. */
export const observeCalls: Interceptor = (next) => async (request) => {
  const requestId = currentRequestId();
  if (requestId !== undefined && !request.header.has(REQUEST_ID)) request.header.set(REQUEST_ID, requestId);
  const method = `${request.service.name}/${request.method.name}`;
  const startedAt = performance.now();
  try {
    return await next(request);
  } catch (error) {
    failures.inc({ method, code: Code[ConnectError.from(error).code] });
    throw error;
  } finally {
    seconds.observe({ method }, (performance.now() - startedAt) / 1_000);
  }
};
