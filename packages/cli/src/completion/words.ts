import type { Argument, Command, Option } from "commander";

/** What may stand next on a command line. */
export interface Words {
  /** The commands from `routeplane` down, e.g. `routeplane cloud keys`, or those and an option that takes a value. */
  readonly after: string;
  /** None: the value of an option that may be anything. */
  readonly words: readonly string[];
}

/** Everything that a command and those below it can be completed to. */
export function completionWords(command: Command, above = ""): readonly Words[] {
  const path = above === "" ? command.name() : `${above} ${command.name()}`;
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const own = {
    after: path,
    words: [...commands.map((each) => each.name()), ...choices(command), ...longNames(options)],
  };
  const values = options.flatMap(({ long, required, argChoices = [] }) =>
    long !== undefined && required ? [{ after: `${path} ${long}`, words: argChoices }] : [],
  );
  return [own, ...values, ...command.commands.flatMap((each) => completionWords(each, path))];
}

const choices = (command: Command): readonly string[] =>
  command.registeredArguments.flatMap(({ argChoices = [] }: Argument) => argChoices);

const longNames = (options: readonly Option[]): readonly string[] => [
  ...new Set(options.flatMap(({ long }) => (long === undefined ? [] : [long]))),
];
