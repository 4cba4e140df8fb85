import type { Command } from "commander";

/** Adds examples to the end of the help of a command. `lines` are written without `routeplane`. */
export function withExamples(command: Command, ...lines: readonly string[]): Command {
  const examples = lines.map((line) => `  $ routeplane ${line}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${examples}`);
}
