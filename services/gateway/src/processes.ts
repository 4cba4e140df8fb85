import { readdirSync, rmdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { redactTokens } from "@routeplane/credentials";
import {
  ConfigurationError,
  createLogger,
  type Environment,
  readEnvironment,
  readServerConfig,
  type RunningProcess,
  superviseWorkers,
} from "@routeplane/runtime";

/**
 * Processes of a gateway. One process is the gateway itself. Several share its port (SO_REUSEPORT: the kernel spreads connections over
 * those that listen) under one more that supervises them; each has a spool of its own, and so its own session at the policy service.
 */

/** Number of this process in its gateway, from 1, and the number of processes that share its port. */
export interface WorkerPosition {
  readonly index: number;
  readonly count: number;
}

const PROCESSES = { min: 1, max: 64 };
/** Variable by which the supervisor names a worker, `<index>/<count>`. It is not for operators. */
const WORKER = "ROUTEPLANE_GATEWAY_WORKER";

/** Bounds of the time to drain: 10 min by default, as long as a request may take. */
export const DRAIN_TIMEOUT_SECS = { min: 0, max: 86_400, fallback: 600 };

/** Reads the number of processes: as many as there are cores by default. */
export function readProcessCount(env: Environment): number {
  const fallback = Math.min(availableParallelism(), PROCESSES.max);
  return env.integer("ROUTEPLANE_GATEWAY_PROCESSES", { ...PROCESSES, fallback });
}

type Supervision = NonNullable<ReturnType<typeof readSupervision>>;

/**
 * Reads what a process needs to supervise others. Undefined if it serves itself, also with a faulty environment: then the configuration of
 * the gateway reports all faults together.
 */
export function readSupervision(variables: Readonly<Record<string, string | undefined>>) {
  try {
    const settings = readEnvironment(variables, (env) => ({
      ...readServerConfig(env, DRAIN_TIMEOUT_SECS),
      wanted: readProcessCount(env),
      spoolFolder: env.text("ROUTEPLANE_SPOOL_DIR"),
      pidFilePrefix: env.optionalText("ROUTEPLANE_WORKER_PID_PREFIX"),
      worker: readWorkerPosition(env),
    }));
    const count = processesToStart(settings.spoolFolder, settings.wanted);
    // With any free port, each process would have another one.
    const servesItself = settings.worker !== undefined || count === 1 || settings.port === 0;
    return servesItself ? undefined : { ...settings, count, environment: variables };
  } catch (error) {
    if (error instanceof ConfigurationError) return undefined;
    throw error;
  }
}

/** Starts the processes of a gateway and supervises them. */
export async function superviseGateway(settings: Supervision): Promise<RunningProcess> {
  const { count, spoolFolder, pidFilePrefix, logLevel, environment } = settings;
  const supervised = await superviseWorkers({
    ...settings,
    service: "gateway",
    log: createLogger("gateway", redactTokens, logLevel),
    optionsOf: (index) => ({
      environment: { ...environment, [WORKER]: `${index}/${count}` },
      pidFile: pidFilePrefix === undefined ? undefined : `${pidFilePrefix}.worker-${index}.pid`,
    }),
  });
  const folders = { name: "spool folders", stop: async () => void processesToStart(spoolFolder, 1) };
  return { ...supervised, components: [folders, ...supervised.components] };
}

/** Position of this process if a supervisor has started it. */
export function readWorkerPosition(env: Environment): WorkerPosition | undefined {
  const [, index = "", count = ""] = /^(\d+)\/(\d+)$/.exec(env.optionalText(WORKER) ?? "") ?? [];
  return index === "" ? undefined : { index: Number(index), count: Number(count) };
}

/**
 * Folder of a process's spool. The first process has the folder itself, as the one of a gateway of one process does, so that the number of
 * processes can be changed at any start.
 */
export function spoolFolderOf(root: string, index: number): string {
  return index === 1 ? root : join(root, `process-${index}`);
}

/**
 * Number of processes to start: as many as asked for, and more if an earlier run with more processes has left something in a spool. The
 * additional processes send it, and serve meanwhile; the next start after a clean stop has as many as asked for. Empty folders are removed.
 */
function processesToStart(root: string, count: number): number {
  const indices = entriesOf(root)
    .flatMap((name) => /^process-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number);
  const left = indices.filter((index) => index <= PROCESSES.max && !isRemoved(spoolFolderOf(root, index)));
  return Math.max(count, ...left);
}

function isRemoved(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // It does not exist yet, or cannot be read, which the process that opens it reports.
    return [];
  }
}
