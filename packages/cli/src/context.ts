import type { CapturedRun } from "./capture.ts";
import type { NodeClient } from "./client.ts";
import type { Settings } from "./config.ts";
import type { Output } from "./output/output.ts";
import type { Credential } from "./session.ts";

/** Stream that may be a terminal. */
interface MaybeTerminal {
  readonly isTTY?: boolean;
}

/** Settings, streams and connections of one invocation, passed to every command. */
export interface Context {
  /** Words of the command line after `routeplane`. */
  readonly argv: readonly string[];
  readonly settings: Settings;
  readonly output: Output;
  readonly stdin: NodeJS.ReadableStream & MaybeTerminal;
  readonly stdout: NodeJS.WritableStream & MaybeTerminal;
  readonly stderr: NodeJS.WritableStream & MaybeTerminal;
  /** Replaces settings for the rest of the invocation, for options that replace variables of the environment. */
  changeSettings(changed: Partial<Settings>): void;
  /** Address of the node that this invocation calls. */
  url(): Promise<string>;
  /** Creates clients that call as the holder of `credential`. */
  connect(credential: Credential): Promise<NodeClient>;
  /** Runs another command line within this process, with `settings`, no input, and its own streams. */
  capture(argv: readonly string[], settings: Settings): Promise<CapturedRun>;
  /** Sets the exit code of a command that ends without an error. */
  setExitCode(code: number): void;
}
