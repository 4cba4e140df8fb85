import { ConfigurationError } from "./environment.ts";
import type { Logger } from "./log.ts";

/** Something that was started and can be stopped. */
export interface Component {
  readonly name: string;
  /** Stops taking new work, finishes what is in hand, and releases what it holds. */
  stop(): Promise<void>;
}

export interface RunningProcess {
  readonly log: Logger;
  /** In the order in which they were started; stopped in reverse. */
  readonly components: readonly Component[];
}

/** A process that is asked to stop is gone after this. Whoever asks must wait longer before it kills. */
export const STOP_TIMEOUT_MS = 10_000;

/**
 * Runs one service process from start to exit: SIGTERM, SIGINT or the loss of a supervising parent stops it in order, and
 * what does not stop within 10 s is cut. A process that cannot start says why in one line and exits with 1.
 */
export async function runProcess(start: () => Promise<RunningProcess>): Promise<void> {
  const stopRequested = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, resolve);
    process.on("disconnect", () => resolve("supervisor gone"));
  });
  try {
    const running = await start();
    running.log.info("started");
    const cause = await stopRequested;
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
