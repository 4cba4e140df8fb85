import type { Argument, Command, Option } from "commander";

/** Words that can come next on a command line. */
export interface Completions {
  /** Path of a command, e.g. `routeplane cloud keys`, possibly followed by an option that takes a value. */
  readonly after: string;
  /** Empty if any text can come next. */
  readonly words: readonly string[];
}

/** Completions of a command and of all commands below it. */
export function completionsOf(command: Command, above = ""): readonly Completions[] {
  const path = above === "" ? command.name() : `${above} ${command.name()}`;
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const own = {
    after: path,
    words: [...commands.map((child) => child.name()), ...choices(command), ...longNames(options)],
  };
  const values = options.flatMap(({ long, required, argChoices = [] }) =>
    long !== undefined && required ? [{ after: `${path} ${long}`, words: argChoices }] : [],
  );
  return [own, ...values, ...command.commands.flatMap((child) => completionsOf(child, path))];
}

const choices = (command: Command): readonly string[] =>
  command.registeredArguments.flatMap(({ argChoices = [] }: Argument) => argChoices);

const longNames = (options: readonly Option[]): readonly string[] => [
  ...new Set(options.flatMap(({ long }) => (long === undefined ? [] : [long]))),
];
