import { mkdir } from "node:fs/promises";
import { removeSaved, writeSaved } from "@routeplane/standalone/saved-files";
import type { Command } from "commander";
import { requireNodeUrl } from "../config.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { isNodeHealthy } from "../client.ts";
import { readSecret } from "../input.ts";
import { block } from "../output/table.ts";
import { type Credential, loginCredential, requireToken } from "../session.ts";
import { fromProtoIdentity, identityFields, type IdentityView } from "../views/identity.ts";
import { withExamples } from "./examples.ts";

export function defineStatus(status: Command, context: Context): void {
  status.action(() => showStatus(context));
  withExamples(status, "cloud status", "cloud status --json");
}

export function defineWhoami(whoami: Command, context: Context): void {
  whoami.action(() => showIdentity(context));
  withExamples(whoami, "cloud whoami");
}

export function defineLogin(login: Command, context: Context): void {
  login
    .requiredOption("--api-key <key>", "Key to save, or - to read it from standard input")
    .addHelpText(
      "after",
      "\nStandard input keeps the key out of the process list. If ROUTEPLANE_URL is set, that address is saved too.",
    )
    .action(({ apiKey }: { apiKey: string }) => logIn(context, apiKey));
  withExamples(
    login,
    "cloud login --api-key - < key.txt",
    "cloud login --api-key -   (ROUTEPLANE_URL=https://routeplane.example for another node)",
  );
}

export function defineLogout(logout: Command, context: Context): void {
  logout.action(() => logOut(context));
  withExamples(logout, "cloud logout");
}

async function showStatus(context: Context): Promise<void> {
  const credential = await loginCredential(context.settings);
  const url = await context.url();
  const [identity, healthy] = await Promise.all([whoAmI(context, credential), isNodeHealthy(url)]);
  const view = { url, healthy, credential_source: credential.source, ...identity };
  const source =
    credential.source === "environment" ? "by the environment" : `by the login in ${context.settings.home}`;
  context.output.data(view, () =>
    block([
      ["node", `${url} (${healthy ? "healthy" : "not ready: it answers, but cannot serve requests"})`],
      ...identityFields(identity),
      ["signed in", source],
    ]),
  );
}

async function showIdentity(context: Context): Promise<void> {
  const identity = await whoAmI(context, await loginCredential(context.settings));
  context.output.data(identity, () => block(identityFields(identity)));
}

async function logIn(context: Context, apiKey: string): Promise<void> {
  const { settings, output } = context;
  const token = requireToken("--api-key", apiKey === "-" ? await readSecret(context, "the key") : apiKey.trim());
  const identity = await whoAmI(context, { token, source: "saved" });
  await saving(settings.home, async () => {
    await mkdir(settings.home, { recursive: true, mode: 0o700 });
    await writeSaved(settings.home, "api-key", token);
    if (settings.url !== undefined)
      await writeSaved(settings.home, "url", requireNodeUrl("ROUTEPLANE_URL", settings.url));
  });
  output.data(identity, () => block(identityFields(identity)));
  output.note(`Signed in to ${await context.url()}; saved in ${settings.home}.`);
  if (settings.apiKey !== undefined) output.note("ROUTEPLANE_API_KEY is set and takes precedence over this login.");
}

async function logOut({ settings, output }: Context): Promise<void> {
  await saving(settings.home, () => removeSaved(settings.home, "api-key"));
  output.data({ signed_in: settings.apiKey !== undefined }, () => "");
  output.note("Signed out here. The key stays valid until it is revoked.");
  if (settings.apiKey !== undefined) output.note("ROUTEPLANE_API_KEY is set and still signs you in.");
}

async function whoAmI(context: Context, credential: Credential): Promise<IdentityView> {
  const client = await context.connect(credential);
  return fromProtoIdentity(await client.identity.whoAmI({}));
}

async function saving(home: string, save: () => Promise<void>): Promise<void> {
  try {
    await save();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", `cannot change the login: ${why}`, {
      hint: `Make ${home} writable, set ROUTEPLANE_HOME to a place that is, or use ROUTEPLANE_API_KEY instead of a login.`,
    });
  }
}
