import { readFile } from "node:fs/promises";

/** Error for the user: why a node or server cannot start, and what to do. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  /** Log file of the process that failed. */
  readonly log: string | undefined;

  constructor(message: string, log?: string) {
    super(message);
    this.log = log;
  }
}

const TAIL_LINES = 12;
const MAX_LINE_LENGTH = 500;

/** Message of an error and, if a process failed, the last lines of its log. */
export async function describeFailure(error: unknown): Promise<string> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof StartFailure) || error.log === undefined) return message;
  const tail = await lastLines(error.log);
  return tail === "" ? `${message}\n  its log is ${error.log}` : `${message}\n  last lines of ${error.log}:\n${tail}`;
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-TAIL_LINES);
  return text.trim() === "" ? "" : lines.map((line) => `    ${line.slice(0, MAX_LINE_LENGTH)}`).join("\n");
}

/** Error code of the operating system, e.g. `EACCES`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
