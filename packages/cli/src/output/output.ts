import { redactTokens } from "@routeplane/credentials";
import type { CliError } from "../errors.ts";
import { delimitedObject, isDelimited } from "./delimited.ts";
import type { Format } from "./format.ts";
import { printableJson, printableLines } from "./printable.ts";
import { type Style, styleFor } from "./style.ts";

/** Way in which the data of a command is printed. */
export interface Mode {
  /** Format that the command line requests; undefined if it requests none. */
  readonly format: Format | undefined;
  /** Encodes a whole value, without a line break at its end, for formats that need nothing but the value. */
  readonly encode: (value: unknown) => string;
  /** True if a list is encoded only once it is complete, because rows alone do not suffice. */
  readonly wholeLists: boolean;
}

/** Output of a command: data on stdout, everything else on stderr. */
export interface Output {
  readonly json: boolean;
  /** Format of data; by default tables. */
  readonly format: Format;
  /** Format of lists: TSV if no table was requested and stdout is not a terminal. */
  readonly listFormat: Format;
  /** Appearance of text on stdout. */
  readonly style: Style;
  readonly encode: Mode["encode"];
  readonly wholeLists: boolean;
  /** Writes the result of the command: `value` for programs, `text` for people. A line break is added. */
  data(value: object, text: (style: Style) => string): void;
  /** Writes a remark for people. Does nothing under `--json`, so that stderr is empty or holds one JSON error. */
  note(text: string): void;
  /** Drops all further remarks, for `--quiet`. */
  silenceNotes(): void;
  /** Writes advice on what to do next; only for people at a terminal. */
  advice(text: string): void;
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

type Stream = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** Creates the output of a command line. @param mode read at each write, because it is final only once the command line is parsed */
export function createOutput(mode: () => Mode, stdout: Stream, stderr: Stream): Output {
  let isQuiet = false;
  const note = (text: string): void => {
    if (!isQuiet && mode().format !== "json") stderr.write(`${printableLines(redactTokens(text))}\n`);
  };
  return {
    get json() {
      return mode().format === "json";
    },
    get format() {
      return mode().format ?? "table";
    },
    get listFormat() {
      return mode().format ?? (stdout.isTTY === true ? "table" : "tsv");
    },
    get style() {
      return styleFor(stdout, mode().format === "wide");
    },
    get wholeLists() {
      return mode().wholeLists;
    },
    encode: (value) => mode().encode(value),
    data(value, text) {
      const { format = "table", encode } = mode();
      if (isDelimited(format)) return void stdout.write(delimitedObject(format, value));
      const shown = format === "json" || format === "yaml" ? encode(value) : text(this.style);
      if (shown !== "") stdout.write(`${shown}\n`);
    },
    note,
    silenceNotes() {
      isQuiet = true;
    },
    advice(text) {
      if (stderr.isTTY === true) note(text);
    },
    error(error) {
      const isJson = mode().format === "json";
      stderr.write(isJson ? `${printableJson(errorJson(error))}\n` : errorText(error, styleFor(stderr)));
    },
  };
}

/** Error as `--json` shows it, with tokens redacted that were pasted into the command line. */
export function errorJson({ code, reason, message, options }: CliError): ErrorJson {
  const { hint, fields = [], metadata = {}, requestId } = options;
  return {
    error: {
      code,
      reason,
      message: redactTokens(message),
      hint: hint === undefined ? null : redactTokens(hint),
      fields: fields.map(({ field, rule }) => ({ field: redactTokens(field), rule: redactTokens(rule) })),
      metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, redactTokens(value)])),
      request_id: requestId ?? null,
    },
  };
}

/** Codes of errors whose cause is only in the logs of the node. */
const NEEDS_LOGS: ReadonlySet<string> = new Set(["internal", "unavailable", "unknown"]);

/** Text of an error for people, with tokens redacted that were pasted into the command line. */
function errorText({ code, message, options }: CliError, style: Style): string {
  const { hint, requestId } = options;
  const lines = [`${style.red("error:")} ${printableLines(redactTokens(message))}`];
  if (hint !== undefined) lines.push(printableLines(redactTokens(hint)));
  if (requestId !== undefined && NEEDS_LOGS.has(code)) lines.push(printableLines(`request id: ${requestId}`));
  return `${lines.join("\n")}\n`;
}
