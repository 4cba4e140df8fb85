import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { readSettings } from "../src/config.ts";
import { run } from "../src/run.ts";

export const CLI_BIN = join(import.meta.dirname, "../bin/routeplane.js");

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Environment = Readonly<Record<string, string>>;

/** Starts the command line as a process without a terminal. It gets `environment` and PATH, and no other variables. */
export function spawnCli(argv: readonly string[], environment: Environment): ChildProcessWithoutNullStreams {
  const { PATH = "" } = process.env;
  return spawn(process.execPath, [CLI_BIN, ...argv], { env: { PATH, TZ: "UTC", ...environment } });
}

/** Runs the command line as a process, to its end. */
export async function runCli(argv: readonly string[], environment: Environment, stdin = ""): Promise<CliResult> {
  return resultOf(spawnCli(argv, environment), stdin);
}

/** Runs a shell script that has the command line as `"$0" "$@"`. */
export async function runCliInShell(
  script: string,
  argv: readonly string[],
  environment: Environment,
): Promise<CliResult> {
  const { PATH = "" } = process.env;
  const args = ["-c", script, process.execPath, CLI_BIN, ...argv];
  return resultOf(spawn("sh", args, { env: { PATH, TZ: "UTC", ...environment } }), "");
}

async function resultOf(child: ChildProcessWithoutNullStreams, stdin: string): Promise<CliResult> {
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** Runs the command line in this process, for those that end before a node is called. */
export async function runHere(argv: readonly string[], environment: Environment): Promise<CliResult> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const code = await run(argv, { settings: readSettings(environment), stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}
