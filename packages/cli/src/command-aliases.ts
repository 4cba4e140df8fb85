import type { Command } from "commander";

/** Other names of verbs, for habits from other command lines. The names themselves are those of the manual. */
const VERB_ALIASES: Readonly<Record<string, string>> = {
  list: "ls",
  mint: "create",
  get: "show",
  show: "get",
  delete: "rm",
};

/** Adds the other names of verbs to the commands below `group`, except where another command has such a name. */
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
