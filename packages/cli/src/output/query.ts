import { CliError, ExitCode, usageError } from "../errors.ts";
import { toJson } from "./json.ts";
import { printable, printableLines } from "./printable.ts";

/** Start of the library's message for an unknown function. */
const UNKNOWN_FUNCTION = "no such function";

/**
 * Compiles a jq expression to a function from a value to the text of its outputs, one per line: strings as they are, other values as JSON.
 *
 * @throws CliError usage for an invalid expression; the returned function throws if the expression fails on the value
 */
export async function loadQuery(expression: string): Promise<(value: unknown) => string> {
  const { compile } = await import("@michaelhomer/jqjs");
  let filter: ReturnType<typeof compile>;
  try {
    filter = compile(expression);
  } catch (error) {
    throw invalidQuery(error);
  }
  try {
    filter(null).next();
  } catch (error) {
    // The library looks functions up only when they are called. Any other failure may be due to the null input.
    if (messageOf(error).startsWith(UNKNOWN_FUNCTION)) throw invalidQuery(error);
  }
  return (value) => {
    try {
      return [...filter(JSON.parse(toJson(value)))].map(lineOf).join("\n");
    } catch (error) {
      throw new CliError(ExitCode.failed, "failed_precondition", "QUERY_FAILED", `--jq: ${messageOf(error)}`);
    }
  };
}

function lineOf(output: unknown): string {
  // Tabs are kept: they are the point of `@tsv`.
  if (typeof output === "string") return output.split("\t").map(printableLines).join("\t");
  return printable(JSON.stringify(output));
}

function invalidQuery(error: unknown): CliError {
  return usageError(`option '--jq <expression>': ${messageOf(error)}`);
}

/** Message of a thrown value. The library mostly throws strings. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
