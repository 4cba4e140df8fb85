import type { Argument, Command, Option } from "commander";
import { nameKindOfArgument, nameKindOfOption } from "./name-kinds.ts";

/** Words that can come next on a command line. */
export interface Completions {
  /** Path of a command, e.g. `routeplane cloud keys`, possibly followed by an option that takes a value. */
  readonly after: string;
  /** Words, and kinds of names that are looked up, e.g. `@keys`. Empty if any text can come next. */
  readonly words: readonly string[];
}

/** Alias of a command. */
export interface PathAlias {
  /** Path that ends with the alias, e.g. `routeplane cloud key`. */
  readonly alias: string;
  readonly path: string;
}

/** Completions of a command and of all commands below it. */
export function completionsOf(command: Command, above = ""): readonly Completions[] {
  const path = pathOf(command, above);
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const own = {
    after: path,
    words: [...commands.map((child) => child.name()), ...argumentWords(command), ...longNames(options)],
  };
  const values = options.flatMap((option) =>
    option.long !== undefined && option.required
      ? [
          {
            after: `${path} ${option.long}`,
            words: [...(option.argChoices ?? []), ...nameKinds([nameKindOfOption(option)])],
          },
        ]
      : [],
  );
  return [own, ...values, ...command.commands.flatMap((child) => completionsOf(child, path))];
}

/** Aliases of all commands below `command`. */
export function pathAliasesOf(command: Command, above = ""): readonly PathAlias[] {
  const path = pathOf(command, above);
  return command.commands.flatMap((child) => [
    ...child.aliases().map((alias) => ({ alias: `${path} ${alias}`, path: `${path} ${child.name()}` })),
    ...pathAliasesOf(child, path),
  ]);
}

function pathOf(command: Command, above: string): string {
  return above === "" ? command.name() : `${above} ${command.name()}`;
}

function argumentWords({ registeredArguments }: Command): readonly string[] {
  const choices = registeredArguments.flatMap(({ argChoices = [] }: Argument) => argChoices);
  return [...choices, ...nameKinds(registeredArguments.map(nameKindOfArgument))];
}

function nameKinds(kinds: readonly (string | undefined)[]): readonly string[] {
  return [...new Set(kinds.flatMap((kind) => (kind === undefined ? [] : [`@${kind}`])))];
}

const longNames = (options: readonly Option[]): readonly string[] => [
  ...new Set(options.flatMap(({ long }) => (long === undefined ? [] : [long]))),
];
