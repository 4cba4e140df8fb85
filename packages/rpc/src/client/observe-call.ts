import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { counter, histogram } from "@routeplane/runtime";

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

/** Times an attempt of a call, and counts its failure. */
export async function observeCall<T>(method: DescMethod, attempt: () => Promise<T>): Promise<T> {
  const label = `${method.parent.name}/${method.name}`;
  const startedAt = performance.now();
  try {
    return await attempt();
  } catch (error) {
    failures.inc({ method: label, code: Code[ConnectError.from(error).code] });
    throw error;
  } finally {
    seconds.observe({ method: label }, (performance.now() - startedAt) / 1_000);
  }
}
