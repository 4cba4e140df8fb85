/** What the process ends with. A contract: scripts decide by it. */
export const ExitCode = {
  ok: 0,
  /** The command was understood and did not succeed. */
  failed: 1,
  /** The command line (or the environment) is wrong; nothing was asked of the node. */
  usage: 2,
  /** Not signed in, or not allowed. */
  denied: 4,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface CliErrorOptions {
  /** What to do next; one line or more. */
  readonly hint?: string;
  readonly fields?: readonly { readonly field: string; readonly rule: string }[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** Finds the call in the node's logs. */
  readonly requestId?: string;
}

/** The one error that commands throw. Everything in it is meant for the user: no secrets, no stack traces. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  /** As Connect spells it, e.g. `not_found`. */
  readonly code: string;
  /** A name of `routeplane.errors.v1.Reason`, or one of the CLI's own (see README). */
  readonly reason: string;
  readonly options: CliErrorOptions;

  constructor(exitCode: ExitCode, code: string, reason: string, message: string, options: CliErrorOptions = {}) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
    this.reason = reason;
    this.options = options;
  }
}

/** The command line, or the environment that stands in for it, breaks a rule. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError(
    ExitCode.usage,
    "invalid_argument",
    "COMMAND_LINE_INVALID",
    message,
    hint === undefined ? {} : { hint },
  );
}

export function notSignedIn(message: string, hint: string): CliError {
  return new CliError(ExitCode.denied, "unauthenticated", "CREDENTIAL_MISSING", message, { hint });
}
