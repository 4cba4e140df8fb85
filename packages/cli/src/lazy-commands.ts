import type { Command } from "commander";
import { addVerbAliases, isNamed } from "./command-aliases.ts";
import { withExamples } from "./commands/examples.ts";
import type { Context } from "./context.ts";
import { usageError } from "./errors.ts";
import { suggest } from "./suggest.ts";

/**
 * Command that is loaded when it is called, so that a command line loads the code of one command only. Its name and description are present
 * from the start, for the help of its parent; arguments, options, subcommands and action are not.
 */
export interface LazyCommand {
  readonly name: string;
  /** Alias: the plural or the singular of the name. */
  readonly alias?: string;
  readonly description: string;
  /** Imports the function that defines the rest of the command. */
  readonly load: () => Promise<(command: Command, context: Context) => void>;
}

/** Definitions that have not been loaded. */
const unloaded = new WeakMap<Command, () => Promise<void>>();

/** Adds the commands, and a command `help` to `parent` and to every group below it. */
export function addLazyCommands(parent: Command, context: Context, commands: readonly LazyCommand[]): void {
  for (const { name, alias, description, load } of commands) {
    const command = parent.command(name).description(description);
    if (alias !== undefined) command.alias(alias);
    unloaded.set(command, async () => (await load())(command, context));
  }
  parent.hook("preSubcommand", (_, command) => loadCommand(command));
  addHelpCommand(parent);
}

/** Loads every command from `command` down, for output that covers the whole tree. */
export async function loadAllCommands(command: Command): Promise<void> {
  await loadCommand(command);
  for (const child of command.commands) await loadAllCommands(child);
}

async function loadCommand(command: Command): Promise<void> {
  const load = unloaded.get(command);
  unloaded.delete(command);
  if (load === undefined) return;
  await load();
  completeGroups(command);
}

/** Completes `command` and all groups below it with the parts that every group has. */
function completeGroups(command: Command): void {
  for (const child of command.commands) completeGroups(child);
  if (command.commands.length === 0 || command.commands.some((child) => isNamed(child, "help"))) return;
  addVerbAliases(command);
  addHelpCommand(command);
}

/** Replaces commander's `help` command, which knows only loaded commands and takes only one word. */
function addHelpCommand(parent: Command): void {
  const example =
    parent.parent === null ? "cloud keys mint" : parent.name() === "cloud" ? "keys mint" : parent.commands[0]?.name();
  const help = parent
    .helpCommand(false)
    .command("help")
    .description("Show the help of a command")
    .argument("[command...]", "Words of the command")
    .action((words: readonly string[]) => showHelp(parent, words));
  withExamples(help, [...pathOf(parent), "help", example].join(" "));
}

/** Words by which a command is called, without `routeplane`. */
function pathOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

async function showHelp(parent: Command, words: readonly string[]): Promise<void> {
  let command = parent;
  for (const word of words) {
    const child = command.commands.find((candidate) => isNamed(candidate, word));
    if (child === undefined) throw unknownCommand(command, word);
    await loadCommand(child);
    command = child;
  }
  command.help();
}

function unknownCommand(command: Command, word: string): Error {
  const [alike] = suggest(
    word,
    command.commands.flatMap((child) => [child.name()].concat(child.aliases())),
  );
  const advice = alike === undefined ? "" : `. Did you mean ${alike}?`;
  return usageError(`${command.name()} has no command ${JSON.stringify(word)}${advice}`);
}
