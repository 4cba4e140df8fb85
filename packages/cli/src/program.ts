import { Command, Option } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { isNamed } from "./command-aliases.ts";
import { COMMANDS } from "./command-table.ts";
import type { Context } from "./context.ts";
import { addLazyCommands } from "./lazy-commands.ts";
import { FORMATS } from "./output/format.ts";

const REFERENCE = `
Examples:
  $ npm start                        run a node on this machine and sign in to it
  $ routeplane cloud status          show the account, the namespace and the node
  $ routeplane cloud keys mint --name my-agent --scope "inference:invoke usage:read"
  $ routeplane run --limit-usd 5 -- my-agent    run an agent under a key and a budget of its own
  $ routeplane cloud usage --json    the same for programs, on every command

Exit codes:
  0  done
  1  the command failed; the error says why
  2  the command line is wrong; nothing was done
  4  not signed in, or not allowed

Environment:
  ROUTEPLANE_API_KEY       the key to use; takes precedence over the saved login
  ROUTEPLANE_URL           the node's address; takes precedence over the saved one
  ROUTEPLANE_OPERATOR_KEY  the operator credential to use (admin, account, operator, namespace create, keys mint --namespace)
  ROUTEPLANE_CONTEXT       the login to use, as --context
  ROUTEPLANE_HOME          folder of the login and a local node (default: .routeplane in the checkout,
                           ~/.config/routeplane of the installed package)
  ROUTEPLANE_PORT          port of \`up\`
  NO_COLOR                 no colours, even on a terminal

Data goes to stdout, everything else to stderr.`;

/**
 * Creates the command tree, whose commands are loaded when they are called. Parsing throws commander's own errors; actions throw
 * `CliError` and `ConnectError`.
 */
export function createProgram(context: Context): Command {
  const program = new Command("routeplane")
    .description("Control and record calls to your models")
    .version(packageJson.version, "-V, --version", "Print the version")
    .helpOption("-h, --help", "Show this help")
    .option("--json", "Print JSON, errors included")
    .addOption(outputOption())
    .option("--jq <expression>", "Filter the JSON with a jq expression")
    .option("-q, --quiet", "Print no remarks, only data and errors")
    .option("--context <name>", "Login to use, from `cloud context list`")
    .on("option:context", (name: string) => context.changeSettings({ context: name }))
    .on("option:quiet", () => context.output.silenceNotes())
    .addHelpText("after", REFERENCE)
    .configureHelp({ showGlobalOptions: true, subcommandDescription })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Under --json stderr holds one JSON error and nothing else.
      writeErr: (text) => context.output.json || context.stderr.write(text),
      // `run` reports the error, like all others.
      outputError: () => undefined,
    })
    .exitOverride();

  addLazyCommands(program, context, COMMANDS);
  return program;
}

/** Option for the format of data. Its value is checked once the command is known, because for some commands it is a file. */
function outputOption(): Option {
  return new Option("-o, --output <format>", "Format of the data; by default a table, TSV in a pipe")
    .choices(FORMATS)
    .argParser((format: string) => format);
}

/** Description of a command in the list of its parent. The command `help` is commander's own. */
function subcommandDescription(command: Command): string {
  return command.name() === "help" ? "Show the help of a command" : command.description();
}

/** Command line that prints the help of the deepest command that `argv` names. */
export function helpCommandFor(program: Command, argv: readonly string[]): string {
  const path = [program.name()];
  let command: Command | undefined = program;
  for (const argument of argv.filter((text) => !text.startsWith("-"))) {
    command = command.commands.find((child) => isNamed(child, argument));
    if (command === undefined) break;
    path.push(command.name());
  }
  return `${path.join(" ")} --help`;
}
