import type { Readable, Writable } from "node:stream";
import type { Command } from "commander";
import packageJson from "../../../package.json" with { type: "json" };
import type { Context } from "../../context.ts";
import { CliError, ExitCode } from "../../errors.ts";
import { errorJson, type ErrorJson } from "../../output/output.ts";
import { loginCredential } from "../../session.ts";
import { withExamples } from "../examples.ts";
import type { Outcome } from "./tool.ts";

export function defineMcp(mcp: Command, context: Context): void {
  mcp
    .option("--allow-writes", "Also serve tools that mint, revoke and bind")
    .addHelpText(
      "after",
      "\nSpeaks the Model Context Protocol on stdin and stdout until stdin is closed. The tools act as the key in use, never as the\n" +
        "operator, and change nothing without --allow-writes: then they mint sub-keys with a budget and an expiry, revoke keys below\n" +
        "the key in use, and bind policies.",
    )
    .action(({ allowWrites = false }: { allowWrites?: boolean }) => serve(context, allowWrites));
  withExamples(
    mcp,
    "mcp",
    "mcp --allow-writes",
    "run --limit-usd 5 -- claude   (and in its settings the command `routeplane mcp`)",
  );
}

async function serve(context: Context, allowsWrites: boolean): Promise<void> {
  const { output, stdin, stdout } = context;
  if (stdin.isTTY === true) output.note("Serving tools to an MCP client on stdin and stdout, until Ctrl-D.");
  const { serveTools } = await import("./server.ts");
  const isDone = await serveTools({
    version: packageJson.version,
    allowsWrites,
    // The streams of a process and of tests are real Node.js streams, although their interfaces declare less.
    stdin: stdin as Readable,
    stdout: stdout as Writable,
    runCommand: (argv) => runCommand(context, argv),
    onFault: (text) => output.note(`Skipped a message that is not valid MCP: ${text}`),
  });
  if (isDone) return;
  throw new CliError(
    ExitCode.failed,
    "resource_exhausted",
    "MESSAGE_TOO_LARGE",
    "the client sent a message of more than 1 MiB",
  );
}

/** Runs a command line under `--json` with the key in use and no other credential. Never throws a `CliError`. */
async function runCommand(context: Context, argv: readonly string[]): Promise<Outcome> {
  try {
    // Read at each call, because a rotation saves a new token, and a login another key.
    const { token } = await loginCredential(context.settings);
    if (token.startsWith("rpo_")) throw operatorInUse();
    const settings = { ...context.settings, url: await context.url(), apiKey: token, operatorKey: undefined };
    const { exitCode, stdout, stderr } = await context.capture(["--json", ...argv], settings);
    return exitCode === ExitCode.ok ? { value: JSON.parse(stdout) as unknown } : (JSON.parse(stderr) as ErrorJson);
  } catch (error) {
    if (error instanceof CliError) return errorJson(error);
    throw error;
  }
}

function operatorInUse(): CliError {
  const message = "the credential in use is an operator's, which tools never use";
  return new CliError(ExitCode.denied, "permission_denied", "KEY_REQUIRED", message, {
    hint: "Set ROUTEPLANE_API_KEY to a key (rp_…), or sign in with one: `routeplane cloud login --api-key -`.",
  });
}
