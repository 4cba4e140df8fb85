import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** Error for the user: why a node or server cannot start, and what to do. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  /** Log file of the process that failed. */
  readonly log: string | undefined;
  /** Position in the log of the output of this start; what is before it is of earlier ones. */
  readonly logStart: number;

  constructor(message: string, log?: string, logStart = 0) {
    super(message);
    this.log = log;
    this.logStart = logStart;
  }
}

const TAIL_LINES = 12;
const MAX_LINE_LENGTH = 500;

/** Message of an error and, if a process failed, the last lines of its log. */
export async function describeFailure(error: unknown): Promise<string> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof StartFailure) || error.log === undefined) return message;
  const tail = await lastLines(error.log, error.logStart);
  return tail === "" ? `${message}\n  its log is ${error.log}` : `${message}\n  last lines of ${error.log}:\n${tail}`;
}

/** Size of a log before a process appends to it; 0 if there is none. */
export function logSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Last lines of a log from a position on; of the whole log if it was emptied meanwhile. */
async function lastLines(path: string, start: number): Promise<string> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  const text = bytes.subarray(start > bytes.length ? 0 : start).toString("utf8");
  const lines = text.trimEnd().split("\n").slice(-TAIL_LINES);
  return text.trim() === "" ? "" : lines.map((line) => `    ${line.slice(0, MAX_LINE_LENGTH)}`).join("\n");
}

/** Error code of the operating system, e.g. `EACCES`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
