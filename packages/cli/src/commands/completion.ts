import { Argument, type Command } from "commander";
import { completionScript, type Shell, SHELLS } from "../completion/scripts.ts";
import { completionsOf } from "../completion/completions.ts";
import type { Context } from "../context.ts";
import { withExamples } from "./examples.ts";

export function addCompletionCommand(program: Command, context: Context): void {
  const completion = program
    .command("completion")
    .description("Print a script that completes commands in your shell")
    .addArgument(new Argument("[shell]", "Shell (default: the one that SHELL names, else bash)").choices(SHELLS))
    .action((shell: Shell = shellOf(context)) => {
      const script = completionScript(shell, completionsOf(program));
      context.output.data({ shell, script }, () => script);
    });
  withExamples(
    completion,
    "completion bash >> ~/.bashrc",
    "completion zsh >> ~/.zshrc",
    "completion fish > ~/.config/fish/completions/routeplane.fish",
  );
}

function shellOf({ settings }: Context): Shell {
  const name = settings.environment["SHELL"]?.split("/").at(-1);
  return SHELLS.find((shell) => shell === name) ?? "bash";
}
