import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { StartFailure } from "../start-failure.ts";
import { type Command, describeEnding, type Ending, startCommand } from "./command.ts";
import { waitUntil } from "./wait.ts";

export interface ProcessSpec {
  /** E.g. `gateway-2`: names it in messages, its log and its pid file. */
  readonly role: string;
  readonly command: Command;
  /** Whether it does its work now. Asked often; bounded in time. */
  readonly isReady: (pid: number) => Promise<boolean>;
  /** Time limit of a start, counted from when the roles in `needs` are ready. */
  readonly startTimeoutMs: number;
  /** Roles that must be ready before it can be. None by default. */
  readonly needs?: readonly string[];
  /** How often it may exit by itself before it was ever ready, and be started again. 0 by default. */
  readonly startRetries?: number;
  readonly stopSignal: NodeJS.Signals;
  /** After this it is killed. */
  readonly stopTimeoutMs: number;
  /** Releases what the specification holds open, once the process is stopped for good. */
  readonly release?: () => void;
}

export interface SupervisionOptions {
  /** What it prints is appended here. */
  readonly log: string;
  /** Holds its process id while it runs. */
  readonly pidFile?: string;
  /** It ended by itself; it is started again after `delayMs`. */
  readonly onDeath?: (ending: Ending, delayMs: number) => void;
  /** It was started again and is ready. */
  readonly onRestart?: (pid: number) => void;
}

export interface StartedOptions {
  /** Gives up, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** The time limit starts when this resolves; immediately by default. */
  readonly after?: Promise<unknown>;
}

export interface Supervised {
  readonly role: string;
  /** Of the running process; undefined between two. */
  pid(): number | undefined;
  /**
   * Resolves when it is ready for the first time.
   *
   * @throws StartFailure if it ends before that, or takes too long
   */
  started(options?: StartedOptions): Promise<void>;
  /** Ends it for good: asks first, then kills. */
  readonly stop: () => Promise<void>;
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** After running this long, the next death counts as the first one. */
const STABLE_MS = 10_000;

/** Starts the process now, and again, a little later each time, whenever it ends by itself. */
export function supervise(spec: ProcessSpec, options: SupervisionOptions): Supervised {
  const stopping = new AbortController();
  let child: ChildProcess | undefined;
  let endings = 0;
  let ready = false;
  let lastEnding: Ending | undefined;

  const launch = (): ChildProcess => {
    const launched = startCommand(spec.command, options.log);
    if (launched.pid !== undefined && options.pidFile !== undefined) writePidFile(options.pidFile, launched.pid);
    child = launched;
    return launched;
  };

  const run = async (): Promise<void> => {
    let delayMs = FIRST_DELAY_MS;
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const launched = launch();
      if (ready) void reportRestart(launched);
      const ending = await endOf(launched);
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
    const answered = await waitUntil(check, limits).catch(() => false);
    if (answered && child === launched) options.onRestart?.(pid);
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
      const why = settled && lastEnding !== undefined ? describeEnding(lastEnding) : "did not get ready";
      const limit = settled ? "" : ` within ${spec.startTimeoutMs / 1_000} s`;
      throw new StartFailure(`${spec.role} ${why}${limit}`, options.log);
    },
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

/** Also when it could not even be started. */
async function endOf(child: ChildProcess): Promise<Ending> {
  if (child.exitCode !== null || child.signalCode !== null) return { code: child.exitCode, signal: child.signalCode };
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    return { code, signal };
  } catch {
    return { code: 127, signal: null };
  }
}

/** Nobody reads a half-written one. Not synced: it means nothing after the machine went down. */
function writePidFile(path: string, pid: number): void {
  writeFileSync(`${path}.new`, `${pid}\n`);
  renameSync(`${path}.new`, path);
}
