import { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { addAccountCommands } from "./commands/account.ts";
import { addAdminCommands } from "./commands/admin/admin.ts";
import { addAuditCommands } from "./commands/audit.ts";
import { addBudgetCommands } from "./commands/policies/budget.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addGuardrailCommands } from "./commands/policies/guardrail.ts";
import { addIdentityCommands } from "./commands/identity.ts";
import { addKeyCommands } from "./commands/keys/keys.ts";
import { addNamespaceCommands } from "./commands/namespace.ts";
import { addOperatorCommands } from "./commands/operator.ts";
import { addPolicyCommands } from "./commands/policies/policy.ts";
import { addPresetCommands } from "./commands/policies/preset.ts";
import { addRateLimitCommands } from "./commands/policies/rate-limit.ts";
import { addRequestCommands } from "./commands/requests/requests.ts";
import { addUpCommand } from "./commands/up.ts";
import { addUsageCommand } from "./commands/usage.ts";
import type { Context } from "./context.ts";

const REFERENCE = `
Examples:
  $ npm start                        run a node on this machine and sign in to it
  $ routeplane cloud status          who you are, and where
  $ routeplane cloud keys mint --name my-agent --scope "inference:invoke usage:read"
  $ routeplane cloud usage --json    the same for programs, on every command

Exit codes:
  0  done
  1  the command failed; the error says why
  2  the command line is wrong; nothing was done
  4  not signed in, or not allowed

Environment:
  ROUTEPLANE_API_KEY       the key to use; wins over the saved login
  ROUTEPLANE_URL           the node's address; wins over the saved one
  ROUTEPLANE_OPERATOR_KEY  for what only an operator may do (operator, account, namespace create, keys mint --namespace)
  ROUTEPLANE_HOME          where the login and a local node's state lie (default: .routeplane in the checkout)
  ROUTEPLANE_PORT          where \`up\` serves
  NO_COLOR                 no colours, even on a terminal

Data goes to stdout, everything else to stderr.`;

/** The command tree. Parsing throws commander's own errors; actions throw `CliError` and `ConnectError`. */
export function createProgram(context: Context): Command {
  const program = new Command("routeplane")
    .description("Who may call your models, what they may do, and what they did.")
    .version(packageJson.version)
    .option("--json", "print JSON, errors included")
    .addHelpText("after", REFERENCE)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Under --json stderr holds one JSON error and nothing else.
      writeErr: (text) => context.output.json || context.stderr.write(text),
      // The error itself is reported where all errors are.
      outputError: () => undefined,
    })
    .exitOverride();

  addUpCommand(program, context);
  const cloud = program.command("cloud").description("manage keys, policies and usage of a node");
  addIdentityCommands(cloud, context);
  addAccountCommands(cloud, context);
  addNamespaceCommands(cloud, context);
  addKeyCommands(cloud, context);
  addOperatorCommands(cloud, context);
  addPolicyCommands(cloud, context);
  addBudgetCommands(cloud, context);
  addGuardrailCommands(cloud, context);
  addRateLimitCommands(cloud, context);
  addPresetCommands(cloud, context);
  addUsageCommand(cloud, context);
  addRequestCommands(cloud, context);
  addAuditCommands(cloud, context);
  addAdminCommands(program, context);
  addCompletionCommand(program, context);
  return program;
}

/** The command line that explains the command which `argv` was heading for. */
export function helpCommandFor(program: Command, argv: readonly string[]): string {
  const path = [program.name()];
  let command: Command | undefined = program;
  for (const argument of argv.filter((text) => !text.startsWith("-"))) {
    command = command.commands.find((child) => child.name() === argument);
    if (command === undefined) break;
    path.push(argument);
  }
  return `${path.join(" ")} --help`;
}
