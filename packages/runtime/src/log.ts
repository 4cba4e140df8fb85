import { type DestinationStream, type Logger as PinoLogger, pino, stdSerializers } from "pino";

export type Logger = PinoLogger;

/** Number of stacks of errors that are logged in each interval; further errors have their message alone. */
const STACKS = 20;
const STACK_INTERVAL_MS = 10_000;

/**
 * A logger that writes one JSON object per line to stdout. `redact` gets every line as text, so that no field can carry a secret
 * past it. Of many errors in a short time only the first have a stack: what is logged when all fails at once is bounded.
 *
 * @param service name of the process, e.g. `auth`
 */
export function createLogger(service: string, redact: (line: string) => string, level = "info"): Logger {
  const destination: DestinationStream = {
    write(line) {
      output.add(redact(line));
    },
  };
  const options = {
    base: { service },
    level,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: serializeError },
  };
  return pino(options, destination);
}

let stacksLeft = STACKS;
let intervalEndsAt = 0;

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const now = performance.now();
  if (now >= intervalEndsAt) [stacksLeft, intervalEndsAt] = [STACKS, now + STACK_INTERVAL_MS];
  if (stacksLeft > 0) {
    stacksLeft -= 1;
    return stdSerializers.err(error);
  }
  return { ...stdSerializers.err(error), stack: undefined };
}

/**
 * Lines on their way to stdout. Those of one turn of the event loop are written at once: a write is a system call that blocks, and
 * there is a line for every request. The exit of the process writes what is left.
 */
class Output {
  #lines: string[] = [];

  add(line: string): void {
    if (this.#lines.push(line) > 1) return;
    setImmediate(() => this.#flush());
    process.once("exit", this.#flushAtExit);
  }

  readonly #flushAtExit = (): void => this.#flush();

  #flush(): void {
    process.off("exit", this.#flushAtExit);
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("");
    this.#lines = [];
    process.stdout.write(text);
  }
}

const output = new Output();
