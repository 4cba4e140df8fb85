import type { Context } from "../context.ts";
import type { Settings } from "../config.ts";
import { HOME_CONTEXT, listContexts, type NamedResource } from "../contexts/context-store.ts";
import { CliError, ExitCode, notSignedIn } from "../errors.ts";
import { findLogin, nodeUrl } from "../session.ts";
import { fromProtoIdentity } from "../views/identity.ts";
import { switchContext } from "./context.ts";

/** A login, and the namespace that its key is bound to. */
interface Login {
  readonly name: string;
  readonly url: string;
  readonly namespace: NamedResource | undefined;
}

/** Switches to the context whose key is bound to the namespace; if there are several, to the one of the node in use. */
export async function useNamespace(context: Context, nameOrId: string): Promise<void> {
  const url = await nodeUrl(context.settings);
  const logins = (await allLogins(context)).filter(
    ({ namespace }) => namespace !== undefined && [namespace.id, namespace.name].includes(nameOrId),
  );
  const ofNode = logins.filter((login) => login.url === url);
  const [login, ...others] = ofNode.length > 0 ? ofNode : logins;
  if (login === undefined) throw noLogin(nameOrId);
  if (others.length > 0) throw severalLogins(nameOrId, [login, ...others]);
  await switchContext(context, login.name, login.url, login.namespace);
}

/** Logins with a key: each context, and the home. The namespace of the home is read from its node. */
async function allLogins(context: Context): Promise<readonly Login[]> {
  const contexts = (await listContexts(context.settings)).filter(({ apiKey }) => apiKey !== undefined);
  const home = await homeLogin(context);
  return home === undefined ? contexts : [...contexts, home];
}

/** Login in the home; undefined if there is none, or its namespace cannot be read from its node. */
async function homeLogin(context: Context): Promise<Login | undefined> {
  const before = context.settings;
  const home: Settings = { ...before, context: HOME_CONTEXT, url: undefined, apiKey: undefined };
  const login = await findLogin(home);
  if (login === undefined) return undefined;
  context.changeSettings(home);
  try {
    const { identity } = await context.connect(login);
    const { namespace } = fromProtoIdentity(await identity.whoAmI({}));
    return { name: HOME_CONTEXT, url: await nodeUrl(home), namespace: namespace ?? undefined };
  } catch {
    return undefined;
  } finally {
    context.changeSettings(before);
  }
}

function noLogin(namespace: string): CliError {
  return notSignedIn(
    `there is no login for the namespace ${JSON.stringify(namespace)}`,
    "A key reaches one namespace. Let the operator of the node mint one there, and sign in with it:\n" +
      `  routeplane cloud keys mint --namespace ${namespace} --name <name> --scope <scopes>\n` +
      "  routeplane cloud login --name <context>",
  );
}

function severalLogins(namespace: string, logins: readonly Login[]): CliError {
  const names = logins.map(({ name, url }) => `${name} (${url})`).join(", ");
  const message = `several contexts are of a namespace ${JSON.stringify(namespace)}: ${names}`;
  return new CliError(ExitCode.failed, "failed_precondition", "NAME_AMBIGUOUS", message, {
    hint: "Choose one with `routeplane cloud context use <context>`.",
  });
}
