import { type CommandResult, runCli, type TestNode } from "../harness/index.ts";

/** The real command, as one caller on one node. */
export interface Cli {
  /** For people: what it printed. */
  (...args: string[]): Promise<CommandResult>;
  /** What it prints under --json. Throws if it failed, or if stderr holds anything. */
  json<T>(...args: string[]): Promise<T>;
  /** The error that it reports under --json. Throws if there is none, or if stdout holds anything. */
  error(...args: string[]): Promise<CliError>;
}

export interface CliError {
  readonly exitCode: number | null;
  readonly code: string;
  readonly reason: string;
  readonly message: string;
  readonly request_id: string | null;
}

/** What a list command prints under --json. */
export interface List<Row> {
  readonly data: readonly Row[];
  readonly next_page_token: string | null;
}

/** As the login that the node's first start saved. */
export function cliOf(node: TestNode): Cli {
  return cliIn(node.home);
}

/** As the holder of a token, with nothing saved. */
export function cliAs(node: TestNode, token: string): Cli {
  return cliIn("/nonexistent", { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: token });
}

/** With what is saved in a home, and an environment. */
export function cliIn(home: string, environment: Readonly<Record<string, string>> = {}): Cli {
  const cli = (...args: string[]): Promise<CommandResult> => runCli(home, args, { environment });
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
