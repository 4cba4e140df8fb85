/** Exit codes of the process. They are a contract with scripts. */
export const ExitCode = {
  ok: 0,
  /** Failure of the command: the node refused or did not answer, or a file could not be read or written. */
  failed: 1,
  /** Error in the command line or the environment. No node was called. */
  usage: 2,
  /** Failure because the caller is not signed in or not allowed. */
  denied: 4,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface CliErrorOptions {
  /** Advice on what to do next; one line or more. */
  readonly hint?: string;
  readonly fields?: readonly { readonly field: string; readonly rule: string }[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** Id of the call in the logs of the node. */
  readonly requestId?: string;
}

/** Error of a command. It is shown to the user as a whole, so it holds no secrets and no stack traces. */
export class CliError extends Error {
  override readonly name = "CliError";
  /** An `ExitCode`; the code that a shell would return if `run` cannot start its command. */
  readonly exitCode: number;
  /** Connect code in its wire spelling, e.g. `not_found`. */
  readonly code: string;
  /** Name of a `routeplane.errors.v1.Reason`, or one of the CLI's own reasons (see README). */
  readonly reason: string;
  readonly options: CliErrorOptions;

  constructor(exitCode: number, code: string, reason: string, message: string, options: CliErrorOptions = {}) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
    this.reason = reason;
    this.options = options;
  }
}

/** Creates the error for an invalid command line, or for an invalid variable that replaces one of its options. */
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
