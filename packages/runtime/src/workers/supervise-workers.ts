import type { RunningProcess } from "../lifecycle.ts";
import type { Logger } from "../log.ts";
import { EventLoopMonitor, HUNG_MS } from "../operations/event-loop.ts";
import {
  collectProcessMetrics,
  gauge,
  METRICS_TYPE,
  printMetrics,
  takeMetricsSnapshot,
} from "../operations/metrics.ts";
import { type OperationsAnswer, type OperationsPaths, toAnswer } from "../operations/operations-answers.ts";
import { serveOperations } from "../operations/operations-server.ts";
import { Readiness } from "../operations/readiness.ts";
import { BUILD_VERSION } from "../version.ts";
import { WorkerGroup, type WorkerGroupOptions } from "./worker-group.ts";
import type { Worker } from "./worker.ts";

export interface SupervisorOptions extends WorkerGroupOptions {
  /** Name of the replica, e.g. `gateway`. */
  readonly service: string;
  readonly operationsHost: string;
  readonly operationsPorts: readonly number[];
  readonly log: Logger;
}

/**
 * Starts a replica of several processes. This one, the supervisor, serves no requests: it restarts the workers, passes on signals, and
 * answers on the operations port for all of them.
 *
 * - `/readyz`: ready while at least one worker is. Connections only reach workers that listen. Taking the replica out of service for one
 *   worker that restarts would hit the callers of all.
 * - `/livez`: hung if one worker is, because its share of the connections gets no answer.
 * - `/healthz`: the dependencies as seen by a worker that can serve, or else by the first one.
 * - `/metrics`: counters and histograms summed, those of workers that have ended included; gauges as their `merge` option says.
 */
export async function superviseWorkers(options: SupervisorOptions): Promise<RunningProcess> {
  const { log, count } = options;
  const readiness = new Readiness();
  const group = new WorkerGroup(options);
  const eventLoop = new EventLoopMonitor();
  collectProcessMetrics({ service: options.service, version: BUILD_VERSION });
  gauge({
    name: "routeplane_processes",
    help: "Processes of this replica that have started, without the one that supervises them.",
    read: () => startedOf(group).length,
  });
  const operations = await serveOperations(options, answersOfGroup(group, readiness, eventLoop));
  const monitor = { name: "event loop monitor", stop: async () => eventLoop.stop() };
  try {
    await group.start();
  } catch (error) {
    await operations.stop();
    throw error;
  }
  log.info({ processes: count }, "worker processes started");
  return {
    log,
    readiness,
    components: [operations, monitor, group],
    drain: (signal) => group.drain(signal),
    reload: () => group.send("SIGHUP"),
  };
}

function answersOfGroup(group: WorkerGroup, readiness: Readiness, eventLoop: EventLoopMonitor): OperationsPaths {
  const askAll = async (
    question: "/livez" | "/readyz" | "/healthz",
  ): Promise<readonly (OperationsAnswer | undefined)[]> =>
    Promise.all(startedOf(group).map((worker) => worker.ask(question)));
  const firstGood = (answers: readonly (OperationsAnswer | undefined)[]): OperationsAnswer | undefined =>
    answers.find((answer) => answer?.status === 200) ?? answers.find((answer) => answer !== undefined);
  return {
    async "/livez"() {
      const answers = await askAll("/livez");
      const hung = answers.filter((answer) => answer?.status !== 200).length;
      const isOk = hung === 0 && eventLoop.longestDelayMs() <= HUNG_MS;
      return toAnswer(isOk, { status: isOk ? "ok" : "hung", processes: answers.length, hung_processes: hung });
    },
    async "/readyz"() {
      const answers = await askAll("/readyz");
      const ready = answers.filter((answer) => answer?.status === 200).length;
      const isReady = ready > 0 && readiness.isReady;
      const best = firstGood(answers);
      const conditions = { ...(best === undefined ? {} : conditionsOf(best)), ...readiness.states() };
      return toAnswer(isReady, {
        status: isReady ? "ready" : "not_ready",
        conditions,
        processes: answers.length,
        ready_processes: ready,
      });
    },
    async "/healthz"() {
      return firstGood(await askAll("/healthz")) ?? toAnswer(false, { status: "unavailable", dependencies: {} });
    },
    async "/metrics"() {
      const snapshots = [...(await group.readMetrics()), await takeMetricsSnapshot()];
      return { status: 200, type: METRICS_TYPE, body: await printMetrics(snapshots) };
    },
  };
}

function startedOf(group: WorkerGroup): readonly Worker[] {
  return [...group.workers.values()].filter(({ hasStarted }) => hasStarted);
}

function conditionsOf({ body }: OperationsAnswer): object {
  const { conditions } = JSON.parse(body) as { conditions: object };
  return conditions;
}
