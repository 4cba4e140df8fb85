import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { CliError } from "../../errors.ts";

/** Signals that are passed on to the command. */
const PASSED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
/** Signals that a terminal sends to the command as well as to this process. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT"]);

/** Exit codes of a shell for a command that cannot be executed, and for one that is not found. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
const OF_SIGNALS = 128;

export interface CommandProcess {
  /**
   * Runs a command on the streams of this process. Resolves to its exit code by the convention of shells: 128 + n if signal n killed it.
   *
   * @throws CliError with 127 for a command that is not found, 126 for one that cannot be executed
   */
  run(
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ): Promise<number>;
  /** Aborted by a signal that arrives after the command has ended: the user does not want to wait any longer. */
  readonly impatience: AbortSignal;
  /** Restores the default handling: signals end this process again. */
  release(): void;
}

/**
 * Handles the signals that would end this process: they are passed on to the command, and this process waits for its end. A signal that
 * arrives before the command is started prevents its start.
 *
 * @param isTerminal true if the command shares a terminal with this process, which sends it Ctrl-C itself
 */
export function takeSignals(isTerminal: boolean): CommandProcess {
  let early: NodeJS.Signals | undefined;
  const impatience = new AbortController();
  let pass = (signal: NodeJS.Signals): void => void (early ??= signal);
  const listener = (signal: NodeJS.Signals): void => pass(signal);
  for (const signal of PASSED) process.on(signal, listener);
  return {
    async run(command, args, environment) {
      if (early !== undefined) return codeOf(early);
      const child = start(command, args, environment);
      pass = (signal) => {
        if (!isTerminal || !FROM_TERMINAL.has(signal)) child.kill(signal);
      };
      return new Promise((resolve, reject) => {
        child.on("error", (error) => {
          if (child.pid === undefined) reject(notStarted(command, error));
        });
        child.on("exit", (code, signal) => {
          pass = () => impatience.abort();
          resolve(signal === null ? (code ?? 0) : codeOf(signal));
        });
      });
    },
    impatience: impatience.signal,
    release() {
      for (const signal of PASSED) process.off(signal, listener);
    },
  };
}

/** Starts a command. Some failures to start are thrown at once, others are reported by the event `error`. @throws CliError */
function start(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ChildProcess {
  try {
    return spawn(command, args, { stdio: "inherit", env: { ...environment } });
  } catch (error) {
    throw notStarted(command, error as NodeJS.ErrnoException);
  }
}

function codeOf(signal: NodeJS.Signals): number {
  return OF_SIGNALS + constants.signals[signal];
}

/** Codes of Node.js for a command that does not exist; the latter for an empty name. */
const NO_SUCH_COMMAND: ReadonlySet<string> = new Set(["ENOENT", "ERR_INVALID_ARG_VALUE"]);

function notStarted(command: string, { code, message }: NodeJS.ErrnoException): CliError {
  return NO_SUCH_COMMAND.has(code ?? "")
    ? new CliError(NOT_FOUND, "not_found", "COMMAND_NOT_STARTED", `command not found: ${command}`)
    : new CliError(
        NOT_EXECUTABLE,
        "failed_precondition",
        "COMMAND_NOT_STARTED",
        `cannot execute ${command}: ${message}`,
      );
}
