import { CliError, ExitCode, usageError } from "../errors.ts";
import { printable, printableLines } from "./printable.ts";

/** Begin of the message with which an expression ends that calls an unknown function. */
const UNKNOWN_FUNCTION = "no such function";

/**
 * Compiles a jq expression to a function that returns the text of its outputs for a value, one line each: a text as it is, anything else
 * as JSON.
 *
 * @throws CliError usage if it is no expression; the function, if the expression does not fit the value
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
    // Functions are looked up when they are called. Any other failure may be due to the null.
    if (messageOf(error).startsWith(UNKNOWN_FUNCTION)) throw invalidQuery(error);
  }
  return (value) => {
    try {
      return [...filter(JSON.parse(JSON.stringify(value)))].map(lineOf).join("\n");
    } catch (error) {
      throw new CliError(ExitCode.failed, "failed_precondition", "QUERY_FAILED", `--jq: ${messageOf(error)}`);
    }
  };
}

function lineOf(output: unknown): string {
  // Tabs are what `@tsv` is for.
  if (typeof output === "string") return output.split("\t").map(printableLines).join("\t");
  return printable(JSON.stringify(output));
}

function invalidQuery(error: unknown): CliError {
  return usageError(`option '--jq <expression>': ${messageOf(error)}`);
}

/** Message of what the library throws, which are texts in most cases. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
