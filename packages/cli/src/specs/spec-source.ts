import { createReadStream } from "node:fs";
import type { Context } from "../context.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";

/** What a spec may take: far above the largest that a node accepts. */
const MAX_SPEC_BYTES = 1 << 20;

/** The JSON in a file or, for `-`, on standard input. */
export async function readJson(context: Context, source: string): Promise<unknown> {
  const written = source === "-" ? await readInput(context) : await readWhole(source);
  const where = source === "-" ? "standard input" : source;
  if (written.length > MAX_SPEC_BYTES) throw usageError(`${where} is larger than any spec (${MAX_SPEC_BYTES} bytes)`);
  if (written.trim() === "") throw usageError(`${where} is empty; a spec in JSON was expected there`);
  try {
    return JSON.parse(written.replace(/^\ufeff/, "")) as unknown;
  } catch (error) {
    throw usageError(`${where} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
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

/** A little more than may be, if there is more. */
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
