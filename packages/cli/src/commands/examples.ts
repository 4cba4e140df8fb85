import type { Command } from "commander";

/** Ends a command's help with lines to copy. */
export function withExamples(command: Command, ...lines: readonly string[]): Command {
  const examples = lines.map((line) => `  $ routeplane ${line}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${examples}`);
}
