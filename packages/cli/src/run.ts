import { CommanderError } from "commander";
import type { Context } from "./context.ts";
import { CliError, ExitCode, usageError } from "./errors.ts";
import { formatOfArguments, formatOfCommand, queryOf } from "./output/format.ts";
import { loadMode, modeOf } from "./output/mode.ts";
import { createOutput, type Output } from "./output/output.ts";
import { createProgram, helpCommandFor } from "./program.ts";
import { nodeUrl } from "./session.ts";

/** Settings and streams of the process that runs a command line. */
export type ProcessContext = Pick<Context, "settings" | "stdin" | "stdout" | "stderr">;

/** Runs one command line. Reports every failure on stderr and never throws. */
export async function run(argv: readonly string[], processContext: ProcessContext): Promise<number> {
  // Read before parsing, because errors in the command line are JSON too.
  let mode = modeOf(formatOfArguments(argv));
  const output = createOutput(() => mode, processContext.stdout, processContext.stderr);
  exitOnStdoutError(processContext.stdout, output);
  // Nobody can be told. The command, a running node above all, goes on.
  processContext.stderr.on("error", () => {});
  let url = "the node";
  let exitCode: number = ExitCode.ok;
  const context = createContext(argv, output, processContext, {
    onUrl: (nodeAddress) => (url = nodeAddress),
    onExitCode: (code) => (exitCode = code),
  });
  const program = createProgram(context).hook("preAction", async (parsed, command) => {
    mode = await loadMode(formatOfCommand(parsed, command), queryOf(parsed));
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    const failure = await toCliError(error, url, helpCommandFor(program, argv));
    if (failure === undefined) return ExitCode.ok;
    output.error(failure);
    return failure.exitCode;
  }
}

/** Creates the context of one command line. */
export function createContext(
  argv: readonly string[],
  output: Output,
  { settings: initialSettings, stdin, stdout, stderr }: ProcessContext,
  { onUrl, onExitCode }: { readonly onUrl: (url: string) => void; readonly onExitCode: (code: number) => void },
): Context {
  let settings = initialSettings;
  const url = async (): Promise<string> => {
    const used = await nodeUrl(settings);
    onUrl(used);
    return used;
  };
  return {
    argv,
    get settings() {
      return settings;
    },
    changeSettings(changed) {
      settings = { ...settings, ...changed };
    },
    output,
    stdin,
    stdout,
    stderr,
    url,
    async connect({ token }) {
      const node = await url();
      const { createNodeClient } = await import("./client.ts");
      return createNodeClient({ url: node, token, onSlow: () => output.note(`Waiting for ${node} …`) });
    },
    async capture(captured, withSettings) {
      const { capture } = await import("./capture.ts");
      return capture((streams) => run(captured, { settings: withSettings, ...streams }));
    },
    setExitCode: onExitCode,
  };
}

/**
 * Error to report; undefined for help and version, which commander reports as errors too. The code for errors of calls is loaded only if a
 * call failed.
 */
async function toCliError(error: unknown, url: string, helpCommand: string): Promise<CliError | undefined> {
  if (error instanceof CliError) return error;
  if (error instanceof CommanderError) return error.exitCode === 0 ? undefined : fromCommanderError(error, helpCommand);
  const { ConnectError } = await import("@connectrpc/connect");
  const { fromConnectError } = await import("./call-error.ts");
  if (error instanceof ConnectError) return fromConnectError(error, url);
  const why = error instanceof Error ? error.message : String(error);
  return new CliError(ExitCode.failed, "internal", "INTERNAL", `a fault in routeplane itself: ${why}`);
}

function fromCommanderError(error: CommanderError, helpCommand: string): CliError {
  const message = error.code === "commander.help" ? "a subcommand is missing" : error.message.replace(/^error: /, "");
  return usageError(message, `Run \`${helpCommand}\` for usage and examples.`);
}

/** Ends the process: with 0 when the reader of stdout closes it, as `| head` does, and with 1 on any other write error. */
function exitOnStdoutError(stdout: NodeJS.WritableStream, output: Output): void {
  stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") process.exit(ExitCode.ok);
    const why = `cannot write to stdout: ${message}`;
    output.error(new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", why));
    process.exit(ExitCode.failed);
  });
}
