import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { CHECKOUT } from "@routeplane/standalone";
import { readSettings } from "../../packages/cli/src/config.ts";
import { run as runCommandLine } from "../../packages/cli/src/run.ts";

export interface CommandResult {
  /** Null if a signal ended the command. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Text on stdin. None by default. */
  readonly input?: string;
  /** Time after which the command is killed. 120 s by default. */
  readonly timeoutMs?: number;
  /** Working directory. The checkout by default. */
  readonly folder?: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  /** Output so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ended: Promise<CommandResult>;
}

export const CLI = join(CHECKOUT, "packages/cli/bin/routeplane.cjs");
const BOOTSTRAP = join(CHECKOUT, "packages/standalone/bin/bootstrap.js");
const SETPRIV = "/usr/bin/setpriv";

/**
 * Runs `routeplane <args>` with a home, within this process: the same program as `runCliProcess`, but without the 0.3 s of CPU that each
 * start of a process takes. It fails if the command takes longer than `timeoutMs`.
 */
export async function runCli(
  home: string,
  args: readonly string[],
  { environment = {}, input = "", timeoutMs = 120_000 }: RunOptions = {},
): Promise<CommandResult> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end(input);
  const output = Promise.all([text(stdout), text(stderr)]);
  const { PATH, HOME } = process.env;
  const settings = readSettings({ PATH, HOME, ROUTEPLANE_HOME: home, ...environment });
  const tooLong = AbortSignal.timeout(timeoutMs);
  const exitCode = await Promise.race([
    runCommandLine(args, { settings, stdin, stdout, stderr }),
    once(tooLong, "abort").then(() => {
      throw new Error(`routeplane ${args.join(" ")} took longer than ${timeoutMs} ms`);
    }),
  ]);
  stdout.end();
  stderr.end();
  const [out, err] = await output;
  return { exitCode, stdout: out, stderr: err };
}

/** Runs `routeplane <args>` with a home, as the process that it is for users. */
export function runCliProcess(home: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  return startCliProcess(home, args, options).ended;
}

/** Starts `routeplane <args>` with a home, as the process that it is for users. */
export function startCliProcess(home: string, args: readonly string[], options: RunOptions = {}): RunningCommand {
  return run([CLI, ...args], { ...options, environment: { ROUTEPLANE_HOME: home, ...options.environment } });
}

/** Settings of nodes in tests, many of which run at the same time: any free ports, and no console unless a test asks for it. */
const SIDE_BY_SIDE = { ROUTEPLANE_INNER_PORTS: "free", ROUTEPLANE_CONSOLE: "off" };

/** Starts `routeplane up` as `npm start` does. It may run for an hour: the faults in full take 20 minutes. */
export function runUp(home: string, args: readonly string[], options: RunOptions = {}): RunningCommand {
  const environment = { ROUTEPLANE_HOME: home, ...SIDE_BY_SIDE, ...options.environment };
  return run([BOOTSTRAP, "packages/cli/bin/routeplane.cjs", "up", ...args], {
    timeoutMs: 3_600_000,
    ...options,
    environment,
  });
}

/** Runs `npm start` itself; the child process is npm. */
export function runNpmStart(home: string, environment: Readonly<Record<string, string>>): RunningCommand {
  return execute(["npm", "start"], {
    timeoutMs: 120_000,
    environment: { ROUTEPLANE_HOME: home, ...SIDE_BY_SIDE, ...environment },
  });
}

/** Runs a script with this Node. */
function run(args: readonly string[], options: RunOptions): RunningCommand {
  return execute([process.execPath, ...args], options);
}

/** Runs a program with only PATH and HOME of this process's environment. It is ended when this process ends. */
function execute(program: readonly string[], options: RunOptions): RunningCommand {
  const { environment = {}, input, timeoutMs = 120_000, folder = CHECKOUT } = options;
  const command = [...(existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "TERM"] : []), ...program];
  const [executable = "", ...rest] = command;
  const child = spawn(executable, rest, {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
    stdio: "pipe",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // A command that ends without reading its input closes the pipe.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = once(child, "close").then(([exitCode]) => ({ exitCode: exitCode as number | null, stdout, stderr }));
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}
