import { mkdir } from "node:fs/promises";
import { removeSaved, writeSaved } from "@routeplane/standalone/saved-files";
import type { Command } from "commander";
import { requireNodeUrl, type Settings } from "../config.ts";
import type { Context } from "../context.ts";
import { HOME_CONTEXT, requireContextName, writeContext, writeCurrentContext } from "../contexts/context-store.ts";
import { precedingSetting, selectedContext } from "../contexts/selected-context.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";
import { isNodeHealthy } from "../client.ts";
import { canAsk, readSecret } from "../input.ts";
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

interface LoginOptions {
  readonly apiKey?: string;
  readonly url?: string;
  readonly name?: string;
}

export function defineLogin(login: Command, context: Context): void {
  login
    .option("--api-key <key>", "Key to save, or - to read it from standard input")
    .option("--url <address>", "Address of the node (default: the one in use)")
    .option("--name <context>", "Context to save it as, and to use from now on")
    .addHelpText(
      "after",
      "\nWithout --api-key it asks for the key, on a terminal. Standard input keeps the key out of the process list. Without --name the\n" +
        "login in use is replaced. If ROUTEPLANE_URL is set, that address is saved too.",
    )
    .action((options: LoginOptions) => logIn(context, options));
  withExamples(
    login,
    "cloud login",
    "cloud login --url https://routeplane.example --name production",
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
  const place =
    credential.source === "environment" ? null : ((await selectedContext(context.settings))?.name ?? HOME_CONTEXT);
  const view = { url, healthy, credential_source: credential.source, context: place, ...identity };
  const source = place === null ? "by the environment" : `by the login in ${placeText(context.settings, place)}`;
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

async function logIn(context: Context, { apiKey, url, name }: LoginOptions): Promise<void> {
  const { output } = context;
  const { url: environmentUrl, apiKey: environmentKey } = context.settings;
  if (name !== undefined) requireContextName("--name", name);
  if (url !== undefined) context.changeSettings({ url: requireNodeUrl("--url", url) });
  if (apiKey === undefined && !canAsk(context)) {
    throw usageError(
      "a key is missing, and there is no terminal to ask on",
      "Give --api-key -, and the key on standard input.",
    );
  }
  const token = requireToken(
    "--api-key",
    apiKey === undefined || apiKey === "-" ? await readSecret(context, "the key") : apiKey.trim(),
  );
  const identity = await whoAmI(context, { token, source: "saved" });
  const node = await context.url();
  const place = name ?? (await selectedContext(context.settings))?.name ?? HOME_CONTEXT;
  await saving(context.settings, async () => {
    await saveLogin(context.settings, place, { node, token, identity });
    if (name !== undefined) await writeCurrentContext(context.settings, name);
  });
  output.data({ ...identity, context: place }, () => block(identityFields(identity)));
  output.note(`Signed in to ${node}; saved in ${placeText(context.settings, place)}.`);
  const preceding = name === undefined ? undefined : precedingSetting(context.settings);
  if (environmentKey !== undefined) output.note("ROUTEPLANE_API_KEY is set and takes precedence over this login.");
  else if (preceding !== undefined && name !== context.settings.context) output.note(preceding);
  if (environmentUrl !== undefined && environmentUrl.replace(/\/+$/, "") !== node)
    output.note("ROUTEPLANE_URL is set and takes precedence over this address.");
}

/** Saves a login in its context or in the home. In the home, the address is saved only if it was given. */
async function saveLogin(
  settings: Settings,
  place: string,
  { node, token, identity }: { readonly node: string; readonly token: string; readonly identity: IdentityView },
): Promise<void> {
  if (place === HOME_CONTEXT) {
    await mkdir(settings.home, { recursive: true, mode: 0o700 });
    await writeSaved(settings.home, "api-key", token);
    if (settings.url !== undefined) await writeSaved(settings.home, "url", node);
  } else {
    await writeContext(settings, { name: place, url: node, apiKey: token, namespace: identity.namespace ?? undefined });
  }
}

async function logOut({ settings, output }: Context): Promise<void> {
  const selected = await selectedContext(settings);
  await saving(settings, () =>
    selected === undefined
      ? removeSaved(settings.home, "api-key")
      : writeContext(settings, { ...selected, apiKey: undefined }),
  );
  output.data({ signed_in: settings.apiKey !== undefined, context: selected?.name ?? HOME_CONTEXT }, () => "");
  output.note("Signed out here. The key stays valid until it is revoked.");
  if (settings.apiKey !== undefined) output.note("ROUTEPLANE_API_KEY is set and still signs you in.");
}

function placeText({ home }: Settings, place: string): string {
  return place === HOME_CONTEXT ? home : `the context ${place}`;
}

async function whoAmI(context: Context, credential: Credential): Promise<IdentityView> {
  const client = await context.connect(credential);
  return fromProtoIdentity(await client.identity.whoAmI({}));
}

async function saving({ home }: Settings, save: () => Promise<void>): Promise<void> {
  try {
    await save();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", `cannot change the login: ${why}`, {
      hint: `Make ${home} writable, set ROUTEPLANE_HOME to a place that is, or use ROUTEPLANE_API_KEY instead of a login.`,
    });
  }
}
