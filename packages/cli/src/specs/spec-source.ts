import { createReadStream } from "node:fs";
import { fromJsonString } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Context } from "../context.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";

/** Maximum size of the JSON of a spec, far above the largest spec that a node accepts. */
const MAX_SPEC_BYTES = 1 << 20;

/** Reads JSON from a file or, for `-`, from standard input. @throws CliError if there is none */
export async function readJson(context: Context, source: string): Promise<unknown> {
  const text = source === "-" ? await readInput(context) : await readWhole(source);
  const json = text.replace(/^\ufeff/, "");
  const name = source === "-" ? "standard input" : source;
  if (json.length > MAX_SPEC_BYTES) throw usageError(`${name} is larger than any spec (${MAX_SPEC_BYTES} bytes)`);
  if (json.trim() === "") throw usageError(`${name} is empty; a spec in JSON was expected there`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw usageError(`${name} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const repeated = repeatedMember(json);
  if (repeated !== undefined) throw usageError(`${name} gives ${JSON.stringify(repeated)} twice in the same object`);
  return parsed;
}

/** Name that an object gives twice, of which `JSON.parse` takes the last one; undefined if there is none. @param json valid JSON */
function repeatedMember(json: string): string | undefined {
  try {
    fromJsonString(ValueSchema, json);
    return undefined;
  } catch (error) {
    return /duplicate object key "(.*)"$/s.exec(error instanceof Error ? error.message : "")?.[1];
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
