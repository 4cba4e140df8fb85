import type { Command } from "commander";

/** Aliases of verbs, as other command lines name them. The manual uses the original names. */
const VERB_ALIASES: Readonly<Record<string, string>> = {
  list: "ls",
  mint: "create",
  get: "show",
  show: "get",
  delete: "rm",
};

/** Adds the aliases of verbs to the commands below `group`, unless another command has that name. */
export function addVerbAliases(group: Command): void {
  for (const command of group.commands) {
    const alias = VERB_ALIASES[command.name()];
    if (alias !== undefined && !group.commands.some((other) => isNamed(other, alias))) command.alias(alias);
  }
}

/** True if a word of a command line names the command. */
export function isNamed(command: Command, word: string): boolean {
  return command.name() === word || command.aliases().includes(word);
}
