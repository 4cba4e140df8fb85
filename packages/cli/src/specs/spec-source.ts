import { createReadStream } from "node:fs";
import type { Context } from "../context.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";

/** Maximum size of the JSON of a spec, far above the largest spec that a node accepts. */
const MAX_SPEC_BYTES = 1 << 20;

/** Reads JSON from a file or, for `-`, from standard input. @throws CliError if there is none */
export async function readJson(context: Context, source: string): Promise<unknown> {
  const json = source === "-" ? await readInput(context) : await readWhole(source);
  const name = source === "-" ? "standard input" : source;
  if (json.length > MAX_SPEC_BYTES) throw usageError(`${name} is larger than any spec (${MAX_SPEC_BYTES} bytes)`);
  if (json.trim() === "") throw usageError(`${name} is empty; a spec in JSON was expected there`);
  try {
    return JSON.parse(json.replace(/^\ufeff/, "")) as unknown;
  } catch (error) {
    throw usageError(`${name} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readInput({ stdin, output }: Context): Promise<string> {
  if (stdin.isTTY === true) output.note("Paste the spec in JSON, then Ctrl-D:");
  return textOf(stdin);
}

async function readWhole(path: string): Promise<string> {
  try {
    return await textOf(createReadStream(path));
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new CliError(ExitCode.failed, "failed_precondition", "FILE_UNREADABLE", `cannot read ${path} (${code})`, {
      hint: "Give the path of a file with the spec in JSON, or - for standard input.",
    });
  }
}

/** Reads a text, and stops once it is longer than MAX_SPEC_BYTES. */
async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > MAX_SPEC_BYTES) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}
