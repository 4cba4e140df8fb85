import { type CommandResult, runCli, type TestNode } from "../harness/index.ts";

/** Real command line with one identity on one node. */
export interface Cli {
  /** Runs a command. @returns its output for people */
  (...args: string[]): Promise<CommandResult>;
  /** Runs a command with --json. @returns its output. @throws Error if it fails or writes to stderr */
  json<T>(...args: string[]): Promise<T>;
  /** Runs a failing command with --json. @returns its error. @throws Error if it succeeds or writes to stdout */
  error(...args: string[]): Promise<CliError>;
}

export interface CliError {
  readonly exitCode: number | null;
  readonly code: string;
  readonly reason: string;
  readonly message: string;
  readonly request_id: string | null;
}

/** Output of a list command with --json. */
export interface List<Row> {
  readonly data: readonly Row[];
  readonly next_page_token: string | null;
}

/** CLI with the login that the node's first start saved. `run` is `runCliProcess` for a process of its own per command. */
export function cliOf(node: TestNode, run = runCli): Cli {
  return cliIn(node.home, {}, run);
}

/** CLI with a token and an empty home. */
export function cliAs(node: Pick<TestNode, "url">, token: string, run = runCli): Cli {
  return cliIn("/nonexistent", { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: token }, run);
}

/** CLI with a home and an environment. */
export function cliIn(home: string, environment: Readonly<Record<string, string>> = {}, run = runCli): Cli {
  const cli = (...args: string[]): Promise<CommandResult> => run(home, args, { environment });
  return Object.assign(cli, {
    async json<T>(...args: string[]): Promise<T> {
      const { exitCode, stdout, stderr } = await cli(...args, "--json");
      if (exitCode !== 0 || stderr !== "") throw new Error(`routeplane ${args.join(" ")}: ${exitCode}\n${stderr}`);
      return JSON.parse(stdout) as T;
    },
    async error(...args: string[]): Promise<CliError> {
      const { exitCode, stdout, stderr } = await cli(...args, "--json");
      if (exitCode === 0 || stdout !== "") throw new Error(`routeplane ${args.join(" ")} did not fail\n${stdout}`);
      const { error } = JSON.parse(stderr) as { error: CliError };
      return { ...error, exitCode };
    },
  });
}
