import type { NodeClient } from "./client.ts";
import type { Settings } from "./config.ts";
import type { ExitCode } from "./errors.ts";
import type { Output } from "./output/output.ts";
import type { Credential } from "./session.ts";

/** Whether a person is at the other end. */
interface MaybeTerminal {
  readonly isTTY?: boolean;
}

/** What every command has at hand. */
export interface Context {
  readonly settings: Settings;
  readonly output: Output;
  readonly stdin: NodeJS.ReadableStream & MaybeTerminal;
  readonly stdout: NodeJS.WritableStream & MaybeTerminal;
  readonly stderr: NodeJS.WritableStream & MaybeTerminal;
  /** Address of the node that this invocation talks to. */
  url(): Promise<string>;
  /** A client as the holder of `credential`. */
  connect(credential: Credential): Promise<NodeClient>;
  /** For a command that ran to its end and still is not a success. */
  setExitCode(code: ExitCode): void;
}
