import { ConfigurationError } from "./environment.ts";
import type { Logger } from "./log.ts";
import type { Readiness } from "./operations/readiness.ts";
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
  /** Loads again what can change while the process runs. Called for SIGHUP; does not throw. */
  readonly reload?: () => void;
}

export interface ProcessOptions {
  /** True if SIGHUP calls `reload`, also one that arrives during the start. Else it ends the process. False by default. */
  readonly reloadsOnHangUp?: boolean;
}

/** Longest time from a stop signal to the exit. A supervisor must wait longer before it kills the process. */
export const STOP_TIMEOUT_MS = 10_000;

/**
 * Runs one service process from start to exit. SIGTERM, SIGINT or the loss of a supervising parent stops its components in
 * order; after `STOP_TIMEOUT_MS` the process exits with 1 all the same. A process that cannot start writes why to stderr, in one
 * line, and exits with 1.
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
  const stopRequested = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, resolve);
    process.on("disconnect", () => resolve("supervisor gone"));
  });
  try {
    const running = await start();
    running.readiness.markStarted();
    running.log.info({ version: BUILD_VERSION }, "started");
    reload = () => running.reload?.();
    if (isReloadRequested) reload();
    const cause = await stopRequested;
    running.readiness.markDraining();
    running.log.info({ cause }, "stopping");
    setTimeout(() => exitAfterTimeout(running.log), STOP_TIMEOUT_MS).unref();
    for (const component of running.components.toReversed()) await component.stop();
    running.log.info("stopped");
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${startFailure(error)}\n`);
    process.exit(1);
  }
}

function exitAfterTimeout(log: Logger): void {
  log.error({ timeoutMs: STOP_TIMEOUT_MS }, "did not stop in time");
  process.exit(1);
}

function startFailure(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  return `cannot start: ${error instanceof Error ? error.message : String(error)}`;
}
