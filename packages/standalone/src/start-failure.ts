import { readFile } from "node:fs/promises";

/** Why a node, or a server, cannot start, in words for whoever started it: what is wrong and what to do. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  /** Log of the process that failed; its last lines tell more. */
  readonly log: string | undefined;

  constructor(message: string, log?: string) {
    super(message);
    this.log = log;
  }
}

const TAIL_LINES = 12;
const MAX_LINE_LENGTH = 500;

/** The message and, if a process failed, the end of its log. */
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

/** The system's code of an error, e.g. `EACCES`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
