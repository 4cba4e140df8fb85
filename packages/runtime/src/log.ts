import { fstatSync } from "node:fs";
import { levels, type Logger as PinoLogger, pino, stdSerializers, symbols } from "pino";

export type Logger = PinoLogger;

/** Number of stacks of errors that are logged in each interval; further errors are logged with only their message. */
const STACKS = 20;
const STACK_INTERVAL_MS = 10_000;

/**
 * A logger that writes one JSON object per line to stdout. `redact` gets every line as text, so that no field can carry a secret
 * past it. Of many errors in a short time, only the first have a stack, so that a total failure does not flood the log.
 *
 * @param service name of the process, e.g. `auth`
 * @param fields further fields of every line
 */
export function createLogger(
  service: string,
  redact: (line: string) => string,
  level = "info",
  fields: Readonly<Record<string, number>> = {},
): Logger {
  const destination = {
    [symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(line: string) {
      output.add(redact(line), this.lastLevel >= WARN);
    },
  };
  const base = { service, ...fields };
  const options = {
    base,
    level,
    timestamp,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: serializeError },
  };
  const log = pino(options, destination);
  const baseFields = JSON.stringify(base).slice(1, -1);
  writers.set(log, (json, message) => {
    if (!log.isLevelEnabled("info")) return;
    output.add(redact(`{"level":"info"${timestamp()},${baseFields},${json},"msg":"${message}"}\n`), false);
  });
  return log;
}

/** Writers of lines whose fields are JSON already. */
const writers = new WeakMap<Logger, (json: string, message: string) => void>();

/**
 * Writes the line of a request, at info. Its fields are passed as text, which takes a tenth of the time of an object whose fields are
 * serialised one by one.
 *
 * @param log made by `createLogger`
 * @param fields members of a JSON object, e.g. `"status":200,"ms":3`
 * @param message without characters that JSON escapes
 */
export function logLine(log: Logger, fields: string, message: string): void {
  const write = writers.get(log);
  if (write === undefined) log.info(JSON.parse(`{${fields}}`), message);
  else write(fields, message);
}

let timestampMs = 0;
let timestampField = "";

/** Time field of a line. The last one is reused within its millisecond, because formatting it takes as long as all other fields. */
function timestamp(): string {
  const now = Date.now();
  if (now !== timestampMs) {
    timestampMs = now;
    timestampField = `,"time":"${new Date(now).toISOString()}"`;
  }
  return timestampField;
}

const WARN = levels.values["warn"] ?? 0;

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
 * Length up to which a write to a pipe is not interleaved with that of another process of the same gateway (PIPE_BUF, 4096 bytes; lines are
 * ASCII except for a few names). Writes to a file are never interleaved.
 */
const ATOMIC_CHARS = 4_000;
/** Longest time for which a line below `warn` waits for others, so that they are written together. */
const LINGER_MS = 20;

/**
 * Lines on their way to stdout. A write is a system call that blocks, and there is a line for every request: lines of 20 ms are written
 * together. A warning or an error is written, with all lines before it, at the end of the turn of the event loop. The exit of the process
 * writes the remaining lines; a kill loses them.
 */
class Output {
  #lines: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  readonly #maxChars = fstatSync(process.stdout.fd).isFIFO() ? ATOMIC_CHARS : Infinity;

  add(line: string, isUrgent: boolean): void {
    if (this.#lines.push(line) === 1) {
      this.#timer = setTimeout(this.#flush, LINGER_MS);
      process.once("exit", this.#flush);
    }
    if (!isUrgent || this.#isDue) return;
    this.#isDue = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer);
    this.#isDue = false;
    process.off("exit", this.#flush);
    if (this.#lines.length === 0) return;
    let text = "";
    for (const line of this.#lines) {
      if (text.length + line.length > this.#maxChars) {
        process.stdout.write(text);
        text = "";
      }
      text += line;
    }
    this.#lines = [];
    process.stdout.write(text);
  };
}

const output = new Output();
