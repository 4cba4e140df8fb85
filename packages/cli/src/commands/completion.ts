import { Argument, type Command, Option } from "commander";
import { completionsOf, pathAliasesOf } from "../completion/completions.ts";
import { NAME_KINDS, type NameKind } from "../completion/name-kinds.ts";
import { offeredNames } from "../completion/offered-names.ts";
import { completionScript, type Shell, SHELLS } from "../completion/scripts.ts";
import type { Context } from "../context.ts";
import { loadAllCommands } from "../lazy-commands.ts";
import { withExamples } from "./examples.ts";

export function defineCompletion(completion: Command, context: Context): void {
  completion
    .addArgument(new Argument("[shell]", "Shell (default: the one that SHELL names, else bash)").choices(SHELLS))
    .addOption(
      new Option("--names <kind>", "Kind of the names to print, for the script").choices(NAME_KINDS).hideHelp(),
    )
    .addHelpText(
      "after",
      "\nThe script also completes `npx routeplane`, and looks names of keys, policies, namespaces and contexts up.",
    )
    .action(async (shell: Shell = shellOf(context), { names }: { names?: NameKind }) => {
      if (names !== undefined) return printNames(context, names);
      const program = completion.parent ?? completion;
      await loadAllCommands(program);
      const table = { completions: completionsOf(program), aliases: pathAliasesOf(program) };
      const script = completionScript(shell, table);
      context.output.data({ shell, script }, () => script);
    });
  withExamples(
    completion,
    "completion bash >> ~/.bashrc",
    "completion zsh >> ~/.zshrc",
    "completion fish > ~/.config/fish/completions/routeplane.fish",
  );
}

/** Prints names, one per line. Prints nothing if they cannot be looked up: a shell would show an error in the middle of a line. */
async function printNames(context: Context, kind: NameKind): Promise<void> {
  const names = await offeredNames(context, kind).catch(() => []);
  if (names.length > 0) context.stdout.write(`${names.join("\n")}\n`);
}

function shellOf({ settings }: Context): Shell {
  const name = settings.environment["SHELL"]?.split("/").at(-1);
  return SHELLS.find((shell) => shell === name) ?? "bash";
}
