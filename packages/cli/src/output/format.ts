import type { Command } from "commander";
import { usageError } from "../errors.ts";

/** Formats of data on stdout, as `--output` names them. */
export const FORMATS = ["table", "wide", "csv", "tsv", "json", "yaml"] as const;
export type Format = (typeof FORMATS)[number];

/** Options that decide the format, as commander parses them. */
interface FormatOptions {
  readonly json?: boolean;
  readonly output?: string;
  readonly jq?: string;
  /** `--format` of `usage`, which has it in addition to `--output`. */
  readonly format?: string;
}

/**
 * Format that a command line requests, read before it is parsed, so that errors in it are reported in that format too. Undefined if it
 * requests none, or an unknown one.
 */
export function formatOfArguments(argv: readonly string[]): Format | undefined {
  const end = argv.indexOf("--");
  const words = end === -1 ? argv : argv.slice(0, end);
  if (words.some((word) => word === "--json" || word === "--jq" || word.startsWith("--jq="))) return "json";
  const values = words.flatMap((word, index) => {
    if (word === "-o" || word === "--output") return words[index + 1] ?? [];
    return /^(?:-o|--output=)(.+)$/.exec(word)?.[1] ?? [];
  });
  return FORMATS.find((format) => format === values.at(-1));
}

/** Value of `--jq` of a parsed command; undefined without it. */
export function queryOf(program: Command): string | undefined {
  return program.opts<FormatOptions>().jq;
}

/**
 * Format that a parsed command requests; undefined if it requests none. An export writes its rows itself: it has its own `--output <file>`,
 * or requires `--format`.
 *
 * @throws CliError usage if there is no such format, or two are requested
 */
export function formatOfCommand(program: Command, command: Command): Format | undefined {
  const { json: wantsJson = false, output, jq } = program.opts<FormatOptions>();
  const isExport = command.options.some(
    ({ long, mandatory }) => long === "--output" || (long === "--format" && mandatory),
  );
  if (isExport && jq !== undefined) throw usageError("--jq cannot be combined with an export");
  const json = wantsJson || jq !== undefined;
  const asked = isExport ? undefined : (output ?? command.opts<FormatOptions>().format);
  if (json && asked !== undefined && asked !== "json")
    throw usageError(`${jq === undefined ? "--json" : "--jq"} cannot be combined with ${asked}`);
  if (json || asked === undefined) return json ? "json" : undefined;
  const format = FORMATS.find((known) => known === asked);
  if (format === undefined)
    throw usageError(`option '-o, --output <format>': ${JSON.stringify(asked)} is not one of ${FORMATS.join(", ")}`);
  return format;
}
