import { redactTokens } from "@routeplane/credentials";
import type { CliError } from "../errors.ts";
import { printableJson, printableLines } from "./printable.ts";
import { type Style, styleFor } from "./style.ts";

/** Output of a command: data on stdout, everything else on stderr. */
export interface Output {
  readonly json: boolean;
  /** Writes the result of the command: `value` under `--json`, else `text`. A line break is added. */
  data(value: unknown, text: (style: Style) => string): void;
  /** Writes a remark for people; none under `--json`, so that stderr holds nothing or one JSON error. */
  note(text: string): void;
  /** Leaves out all further remarks, for `--quiet`. */
  silenceNotes(): void;
  error(error: CliError): void;
}

export interface ErrorJson {
  readonly error: {
    readonly code: string;
    readonly reason: string;
    readonly message: string;
    readonly hint: string | null;
    readonly fields: readonly { readonly field: string; readonly rule: string }[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly request_id: string | null;
  };
}

export function createOutput(json: boolean, stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output {
  let isQuiet = json;
  return {
    json,
    data(value, text) {
      const shown = json ? printableJson(value) : text(styleFor(stdout));
      if (shown !== "") stdout.write(`${shown}\n`);
    },
    note(text) {
      if (!isQuiet) stderr.write(`${printableLines(text)}\n`);
    },
    silenceNotes() {
      isQuiet = true;
    },
    error(error) {
      stderr.write(json ? `${printableJson(errorJson(error))}\n` : errorText(error, styleFor(stderr)));
    },
  };
}

/** Error as `--json` shows it. */
export function errorJson({ code, reason, message, options }: CliError): ErrorJson {
  const { hint, fields = [], metadata = {}, requestId } = options;
  return {
    error: {
      code,
      reason,
      message: redactTokens(message),
      hint: hint ?? null,
      fields,
      metadata,
      request_id: requestId ?? null,
    },
  };
}

/** Codes of faults whose cause is only in the logs of the node. */
const NEEDS_LOGS: ReadonlySet<string> = new Set(["internal", "unavailable", "unknown"]);

/** Text of an error for people, with tokens redacted that were pasted into the command line. */
function errorText({ code, message, options }: CliError, style: Style): string {
  const { hint, requestId } = options;
  const lines = [`${style.red("error:")} ${printableLines(redactTokens(message))}`];
  if (hint !== undefined) lines.push(printableLines(hint));
  if (requestId !== undefined && NEEDS_LOGS.has(code)) lines.push(printableLines(`request id: ${requestId}`));
  return `${lines.join("\n")}\n`;
}
