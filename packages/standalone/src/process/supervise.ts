import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { logSize, StartFailure } from "../start-failure.ts";
import { type Command, describeEnding, type Ending, startCommand } from "./command.ts";
import { waitUntil } from "./wait.ts";

export interface ProcessSpec {
  /** Name in messages, e.g. `gateway-2`. */
  readonly role: string;
  readonly command: Command;
  /** True if the process serves. Called often; must be bounded in time. */
  readonly isReady: (pid: number) => Promise<boolean>;
  /** Time limit of a start, from when the roles in `needs` are ready. */
  readonly startTimeoutMs: number;
  /** Roles that it needs to become ready. None by default. */
  readonly needs?: readonly string[];
  /** Number of restarts that are allowed before it was ready for the first time. 0 by default. */
  readonly startRetries?: number;
  readonly stopSignal: NodeJS.Signals;
  /** Time after which a stopping process is killed. */
  readonly stopTimeoutMs: number;
  /** Releases resources of this specification, after the process was stopped permanently. */
  readonly release?: () => void;
}

export interface SupervisionOptions {
  /** File that the output of the process is appended to. */
  readonly log: string;
  /** File that holds the process id while the process runs. */
  readonly pidFile?: string;
  /** Called when the process, once ready, has ended by itself. It is restarted after `delayMs`. */
  readonly onDeath?: (ending: Ending, delayMs: number) => void;
  /** Called when the process is ready after a restart. */
  readonly onRestart?: (pid: number) => void;
}

export interface StartOptions {
  /** Cancels the wait, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** The time limit starts when this resolves; immediately by default. */
  readonly after?: Promise<unknown>;
}

export interface SupervisedProcess {
  readonly role: string;
  /** Id of the running process; undefined between an end and a restart. */
  pid(): number | undefined;
  /**
   * Resolves when the process is ready for the first time.
   *
   * @throws StartFailure if it exits before that, or exceeds the time limit
   */
  started(options?: StartOptions): Promise<void>;
  /** Sends a signal to the process, if it runs. */
  readonly send: (signal: NodeJS.Signals) => void;
  /** Stops the process permanently, and kills it after `stopTimeoutMs`. */
  readonly stop: () => Promise<void>;
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** Run time after which the restart delay is back at its minimum. */
const STABLE_MS = 10_000;
/** Time after which a pid file that could not be written is tried again. */
const PID_RETRY_MS = 1_000;
/** Ending of a process that could not be started. */
const NOT_STARTED: Ending = { code: 127, signal: null };

/** Starts the process, and restarts it whenever it ends by itself, after a delay that doubles from 0.1 s up to 5 s. */
export function supervise(spec: ProcessSpec, options: SupervisionOptions): SupervisedProcess {
  const stopping = new AbortController();
  let child: ChildProcess | undefined;
  let endings = 0;
  let ready = false;
  let lastEnding: Ending | undefined;
  const logStart = logSize(options.log);

  const launch = (): ChildProcess => {
    child = startCommand(spec.command, options.log);
    recordPid(child);
    return child;
  };

  /** Writes the pid file, and tries again later on a disk that is full: that must not prevent a restart. */
  const recordPid = (launched: ChildProcess): void => {
    const { pidFile } = options;
    const { pid } = launched;
    if (pidFile === undefined || pid === undefined || child !== launched || stopping.signal.aborted) return;
    try {
      writePidFile(pidFile, pid);
    } catch {
      rmSync(pidFile, { force: true });
      setTimeout(() => recordPid(launched), PID_RETRY_MS).unref();
    }
  };

  const runOnce = async (): Promise<Ending> => {
    try {
      const launched = launch();
      if (ready) void reportRestart(launched);
      return await endOf(launched);
    } catch {
      // The log cannot be opened, or the system has no resources for another process.
      return NOT_STARTED;
    }
  };

  const run = async (): Promise<void> => {
    let delayMs = FIRST_DELAY_MS;
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const ending = await runOnce();
      child = undefined;
      if (stopping.signal.aborted) return;
      endings += 1;
      lastEnding = ending;
      if (performance.now() - startedAt >= STABLE_MS) delayMs = FIRST_DELAY_MS;
      if (ready) options.onDeath?.(ending, delayMs);
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => {});
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
    }
  };

  const reportRestart = async (launched: ChildProcess): Promise<void> => {
    const { pid } = launched;
    if (pid === undefined) return;
    const check = async (): Promise<boolean> => child !== launched || (await spec.isReady(pid));
    const limits = { timeoutMs: spec.startTimeoutMs, signal: stopping.signal };
    const isReady = await waitUntil(check, limits).catch(() => false);
    if (isReady && child === launched) options.onRestart?.(pid);
  };

  const running = run();

  return {
    role: spec.role,
    pid: () => child?.pid,
    async started({ signal, after } = {}) {
      const isSettled = async (): Promise<boolean> => {
        if (lastEnding?.signal === null && endings > (spec.startRetries ?? 0)) return true;
        const pid = child?.pid;
        ready = pid !== undefined && (await spec.isReady(pid)) && child?.pid === pid;
        return ready;
      };
      const settled = await waitUntil(isSettled, { timeoutMs: spec.startTimeoutMs, signal, after });
      if (ready) return;
      const cause = settled && lastEnding !== undefined ? describeEnding(lastEnding) : "did not get ready";
      const limit = settled ? "" : ` within ${spec.startTimeoutMs / 1_000} s`;
      throw new StartFailure(`${spec.role} ${cause}${limit}`, options.log, logStart);
    },
    send: (signal) => void child?.kill(signal),
    async stop() {
      stopping.abort();
      if (child !== undefined) await stopChild(child, spec);
      await running;
      if (options.pidFile !== undefined) rmSync(options.pidFile, { force: true });
      spec.release?.();
    },
  };
}

async function stopChild(child: ChildProcess, { stopSignal, stopTimeoutMs }: ProcessSpec): Promise<void> {
  const ended = endOf(child);
  child.kill(stopSignal);
  const kill = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(kill);
}

/** End of a process; exit code 127 if it could not be started. */
async function endOf(child: ChildProcess): Promise<Ending> {
  if (child.exitCode !== null || child.signalCode !== null) return { code: child.exitCode, signal: child.signalCode };
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    return { code, signal };
  } catch {
    return NOT_STARTED;
  }
}

/** Replaces a pid file atomically. It is not synced, because after a crash of the machine it means nothing. */
function writePidFile(path: string, pid: number): void {
  writeFileSync(`${path}.new`, `${pid}\n`);
  renameSync(`${path}.new`, path);
}
