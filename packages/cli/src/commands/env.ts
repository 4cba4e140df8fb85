import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { loginCredential } from "../session.ts";
import { withExamples } from "./examples.ts";
import { type ClientName, CLIENTS, clientVariables } from "./run/client-environment.ts";

export function defineEnv(env: Command, context: Context): void {
  env
    .addOption(new Option("--for <client>", "Client that calls the models").choices([...CLIENTS]).makeOptionMandatory())
    .addHelpText("after", "\nPrints the key in use: it is a secret. `run` gives a command a key of its own.")
    .action((options: { readonly for: ClientName }) => printEnvironment(context, options.for));
  withExamples(env, 'eval "$(routeplane cloud env --for openai)"', "cloud env --for claude-code --json");
}

async function printEnvironment(context: Context, client: ClientName): Promise<void> {
  const { token } = await loginCredential(context.settings);
  if (!token.startsWith("rp_")) {
    const message = "the credential in use is an operator's, which calls no models";
    const hint = "Sign in with a key (rp_…): `routeplane cloud login --api-key -`, or set ROUTEPLANE_API_KEY.";
    throw new CliError(ExitCode.denied, "permission_denied", "KEY_REQUIRED", message, { hint });
  }
  const variables = clientVariables(client, await context.url(), token);
  context.output.data(variables, () =>
    Object.entries(variables)
      .map(([name, value]) => `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'`)
      .join("\n"),
  );
}
