import { BUILD_VERSION } from "../version.ts";
import type { Dependencies } from "./dependencies.ts";
import { EventLoopMonitor, HUNG_MS } from "./event-loop.ts";
import { collectProcessMetrics, gauge, readMetrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

/** Answer of the operations port to one path. */
export interface OperationsAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Paths of the operations port, each with the function that answers it. */
export type OperationsPaths = Readonly<
  Record<"/livez" | "/readyz" | "/healthz" | "/metrics", () => OperationsAnswer | Promise<OperationsAnswer>>
>;

export interface ProcessState {
  /** Name of the process, e.g. `auth`. */
  readonly service: string;
  readonly readiness: Readiness;
  readonly dependencies: Dependencies;
}

/** Creates the answers of this process, and registers the metrics that every process has. */
export function answersOfProcess({ service, readiness, dependencies }: ProcessState) {
  const eventLoop = new EventLoopMonitor();
  collectProcessMetrics({ service, version: BUILD_VERSION });
  gauge({
    name: "routeplane_ready",
    help: "1 while the process is ready to take work.",
    merge: "max",
    read: () => Number(readiness.isReady),
  });
  gauge({
    name: "routeplane_dependency_up",
    help: "1 while the dependency answers.",
    labels: ["dependency"],
    merge: "max",
    async read() {
      const states = Object.entries(await dependencies.states());
      return states.map(([dependency, state]) => ({ labels: { dependency }, value: Number(state === "ok") }));
    },
  });
  let reading: Promise<OperationsAnswer> | undefined;
  const paths: OperationsPaths = {
    "/livez": () => {
      const delayMs = Math.round(eventLoop.longestDelayMs());
      return toAnswer(delayMs <= HUNG_MS, { status: delayMs <= HUNG_MS ? "ok" : "hung", event_loop_delay_ms: delayMs });
    },
    "/readyz": () => {
      const { isReady } = readiness;
      return toAnswer(isReady, { status: isReady ? "ready" : "not_ready", conditions: readiness.states() });
    },
    "/healthz": async () => {
      const { isServing, body } = await dependencies.report();
      return toAnswer(isServing, body);
    },
    // Scrapes that arrive while metrics are read share that read.
    "/metrics": () =>
      (reading ??= readMetrics()
        .then(({ contentType: type, text: body }) => ({ status: 200, type, body }))
        .finally(() => (reading = undefined))),
  };
  return { paths, stop: () => eventLoop.stop() };
}

/** An answer in JSON: 200, or 503 if the check has failed. */
export function toAnswer(isOk: boolean, body: object): OperationsAnswer {
  return { status: isOk ? 200 : 503, type: "application/json", body: `${JSON.stringify(body)}\n` };
}
