import { redactTokens } from "@routeplane/credentials";
import type { CliError } from "../errors.ts";
import { printableJson, printableLines } from "./printable.ts";
import { type Style, styleFor } from "./style.ts";

/** Where a command's words go: data on stdout, everything else on stderr. */
export interface Output {
  readonly json: boolean;
  /** The command's result: `value` under --json, else what `text` makes of it for people (a trailing line break is added). */
  data(value: unknown, text: (style: Style) => string): void;
  /** A remark for people. Left out under --json, so that stderr holds nothing or one JSON error. */
  note(text: string): void;
  error(error: CliError): void;
}

export function createOutput(json: boolean, stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output {
  return {
    json,
    data(value, text) {
      const shown = json ? printableJson(value) : text(styleFor(stdout));
      if (shown !== "") stdout.write(`${shown}\n`);
    },
    note(text) {
      if (!json) stderr.write(`${printableLines(text)}\n`);
    },
    error(error) {
      stderr.write(json ? `${printableJson(errorJson(error))}\n` : errorText(error, styleFor(stderr)));
    },
  };
}

function errorJson({ code, reason, message, options }: CliError): object {
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

/** Faults that someone has to look up in the node's logs. */
const NEEDS_LOGS: ReadonlySet<string> = new Set(["internal", "unavailable", "unknown"]);

/** Whatever an error repeats, a pasted token is not in it. */
function errorText({ code, message, options }: CliError, style: Style): string {
  const { hint, requestId } = options;
  const lines = [`${style.red("error:")} ${printableLines(redactTokens(message))}`];
  if (hint !== undefined) lines.push(printableLines(hint));
  if (requestId !== undefined && NEEDS_LOGS.has(code)) lines.push(printableLines(`request id: ${requestId}`));
  return `${lines.join("\n")}\n`;
}
