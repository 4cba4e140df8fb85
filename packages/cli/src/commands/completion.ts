import { Argument, type Command } from "commander";
import { completionScript, type Shell, SHELLS } from "../completion/scripts.ts";
import { completionsOf } from "../completion/completions.ts";
import type { Context } from "../context.ts";
import { loadAllCommands } from "../lazy-commands.ts";
import { withExamples } from "./examples.ts";

export function defineCompletion(completion: Command, context: Context): void {
  completion
    .addArgument(new Argument("[shell]", "Shell (default: the one that SHELL names, else bash)").choices(SHELLS))
    .action(async (shell: Shell = shellOf(context)) => {
      const program = completion.parent ?? completion;
      await loadAllCommands(program);
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
