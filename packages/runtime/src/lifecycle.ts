import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ConfigurationError } from "./environment.ts";
import type { Logger } from "./log.ts";
import type { Readiness } from "./operations/readiness.ts";
import { reportStarted } from "./workers/supervisor-channel.ts";
import { BUILD_VERSION } from "./version.ts";

/** A started part of a process that can be stopped. */
export interface Component {
  readonly name: string;
  /** Takes no new work, finishes running work, and releases its resources. */
  stop(): Promise<void>;
}

export interface RunningProcess {
  readonly log: Logger;
  /** Readiness of the process: started once all components are, draining from the stop signal on. */
  readonly readiness: Readiness;
  /** Components in the order of their start; they are stopped in reverse. */
  readonly components: readonly Component[];
  /**
   * Waits until the running work has ended, while the process is no longer ready, and bounds that time itself. Called before the
   * components are stopped, after SIGTERM alone. Resolves at once when `signal` is aborted.
   */
  readonly drain?: (signal: AbortSignal) => Promise<void>;
  /** Loads again what can change while the process runs. Called for SIGHUP; does not throw. */
  readonly reload?: () => void;
}

export interface ProcessOptions {
  /** True if SIGHUP calls `reload`, also a SIGHUP during the start. Otherwise SIGHUP ends the process. False by default. */
  readonly reloadsOnHangUp?: boolean;
}

/** Longest time from a stop signal, or the end of the drain, to the exit. A supervisor must wait longer before it kills the process. */
export const STOP_TIMEOUT_MS = 10_000;

/**
 * Runs one service process from start to exit. SIGTERM drains it and then stops its components in order; SIGINT, the loss of a
 * supervising parent or a second SIGTERM stops them without waiting for the drain; after `STOP_TIMEOUT_MS` the process exits with 1 in any
 * case. A process that cannot start writes the reason to stderr, in one line, and exits with 1.
 */
export async function runProcess(
  start: () => Promise<RunningProcess>,
  { reloadsOnHangUp = false }: ProcessOptions = {},
): Promise<void> {
  let reload = (): void => {
    isReloadRequested = true;
  };
  let isReloadRequested = false;
  if (reloadsOnHangUp) process.on("SIGHUP", () => reload());
  // Lines that cannot be written are lost: a full disk, or a reader of the log that has ended, must not end the process.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const hurry = new AbortController();
  const stopRequested = new Promise<string>((resolve) => {
    let isRequested = false;
    const request = (cause: string): void => {
      if (isRequested || cause !== "SIGTERM") hurry.abort();
      isRequested = true;
      resolve(cause);
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, request);
    process.on("disconnect", () => request("supervisor gone"));
  });
  try {
    const running = await start();
    running.readiness.markStarted();
    running.log.info({ version: BUILD_VERSION }, "started");
    reportStarted();
    for (const afterMs of COLLECT_AFTER_MS) setTimeout(collectGarbage, afterMs).unref();
    reload = () => running.reload?.();
    if (isReloadRequested) reload();
    const cause = await stopRequested;
    running.readiness.markDraining();
    running.log.info({ cause }, "stopping");
    if (!hurry.signal.aborted) await running.drain?.(hurry.signal);
    setTimeout(() => exitAfterTimeout(running.log), STOP_TIMEOUT_MS).unref();
    for (const component of running.components.toReversed()) await component.stop();
    running.log.info("stopped");
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${startFailure(error)}\n`);
    process.exit(1);
  }
}

/** Times after a start at which its garbage is collected: the first makes free pages, the second gives them back to the system. */
const COLLECT_AFTER_MS = [5_000, 12_000];

/** Flags of V8 during the collection: to expose the function, and to drop the bytecode of functions that do not run (2 MiB). */
const COLLECTOR_FLAGS = ["expose-gc", "stress-flush-code"];

/**
 * Collects the garbage of the start. While the process has little to do, V8 would keep it, and the young space at the size that it had
 * during the start: 10 to 12 MiB in each process. Takes 20 to 30 ms. From then on V8 gives memory back by itself after a load.
 */
function collectGarbage(): void {
  for (const flag of COLLECTOR_FLAGS) setFlagsFromString(`--${flag}`);
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
  // The compile cache, which is written at the exit, is only valid for the same flags.
  for (const flag of COLLECTOR_FLAGS) setFlagsFromString(`--no-${flag}`);
}

function exitAfterTimeout(log: Logger): void {
  log.error({ timeoutMs: STOP_TIMEOUT_MS }, "stop timed out");
  process.exit(1);
}

function startFailure(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  return `cannot start: ${error instanceof Error ? error.message : String(error)}`;
}
