import { join } from "node:path";
import { readSaved, writeSaved } from "@routeplane/standalone/saved-files";
import { requireNodeUrl, type Settings } from "./config.ts";
import { contextPath, listContexts, writeContext } from "./contexts/context-store.ts";
import { selectedContext } from "./contexts/selected-context.ts";
import { CliError, ExitCode, notSignedIn } from "./errors.ts";

/** Choice of the node that a command calls, and of the credential that it calls with. */

const DEFAULT_URL = "http://127.0.0.1:8080";
const SIGN_IN =
  "Sign in with `routeplane cloud login`, or set ROUTEPLANE_API_KEY. `npm start` runs a local node and signs you in.";
/** Hint for a local node without a saved key, which its operator credential can replace. */
const MINT_AND_SIGN_IN =
  "Mint a key with the saved operator credential, and sign in with its token:\n" +
  "  routeplane cloud keys mint --namespace default --name <name> --scope <scopes>\n" +
  "  routeplane cloud login";

export interface Credential {
  /** Secret token, for the Authorization header and the login file only. */
  readonly token: string;
  readonly source: "environment" | "saved";
}

/** Address of the node: ROUTEPLANE_URL, else the address of the context in use, else the saved or default address of a local node. */
export async function nodeUrl(settings: Settings): Promise<string> {
  if (settings.url !== undefined) return requireNodeUrl("ROUTEPLANE_URL", settings.url);
  const context = await selectedContext(settings);
  if (context !== undefined) return requireNodeUrl(`the context ${context.name}`, context.url);
  return homeUrl(settings);
}

async function homeUrl({ home }: Settings): Promise<string> {
  const saved = await readFileOf(home, "url");
  return saved === undefined ? DEFAULT_URL : requireNodeUrl(`the file url in ${home}`, saved);
}

/** ROUTEPLANE_API_KEY, else the saved login. @throws CliError if there is neither */
export async function loginCredential(settings: Settings): Promise<Credential> {
  const credential = await findLogin(settings);
  if (credential !== undefined) return credential;
  const canMint = (await savedOperatorKey(settings).catch(() => undefined)) !== undefined;
  throw notSignedIn("not signed in", canMint ? MINT_AND_SIGN_IN : SIGN_IN);
}

/**
 * Operator credential, for commands that only an operator may use. The saved one belongs to the local node, so it is sent to a loopback
 * address only, and not used while ROUTEPLANE_API_KEY is set.
 *
 * @throws CliError OPERATOR_REQUIRED if there is none
 */
export async function operatorCredential(settings: Settings): Promise<Credential> {
  if (settings.operatorKey !== undefined) return fromEnvironment("ROUTEPLANE_OPERATOR_KEY", settings.operatorKey);
  const login = await findLogin(settings);
  if (login?.token.startsWith("rpo_")) return login;
  if (settings.apiKey !== undefined) {
    throw operatorRequired(
      "only the node's operator may do this, and ROUTEPLANE_API_KEY is set to the key of a namespace",
      "Unset ROUTEPLANE_API_KEY to use the saved operator credential, or set ROUTEPLANE_OPERATOR_KEY to a token that starts rpo_.",
    );
  }
  const saved = await savedOperatorKey(settings);
  if (saved !== undefined) return fromFile("operator-key", saved);
  throw operatorRequired(
    "only the node's operator may do this, and there is no operator credential here",
    "Set ROUTEPLANE_OPERATOR_KEY to a token that starts rpo_. A local node saves its own at the first start.",
  );
}

/** Operator credential, which sees every namespace, if there is one; else the login. */
export async function operatorOrLoginCredential(settings: Settings): Promise<Credential> {
  try {
    return await operatorCredential(settings);
  } catch (error) {
    if (error instanceof CliError && error.reason === "OPERATOR_REQUIRED") return loginCredential(settings);
    throw error;
  }
}

/** Operator credential that the node of the home saved; undefined if there is none, or calls reach another node. */
async function savedOperatorKey(settings: Settings): Promise<string | undefined> {
  return (await isHomeNode(settings)) ? readFileOf(settings.home, "operator-key") : undefined;
}

function operatorRequired(message: string, hint: string): CliError {
  return new CliError(ExitCode.denied, "permission_denied", "OPERATOR_REQUIRED", message, { hint });
}

/** True if calls reach the node of the home: its address is on this machine, and a context in use has the same address. */
async function isHomeNode(settings: Settings): Promise<boolean> {
  const url = await nodeUrl(settings);
  if (!isLoopback(url)) return false;
  return (await selectedContext(settings)) === undefined || url === (await homeUrl(settings));
}

/** A token on this machine, in a saved file or in a variable of the environment. */
export type StoredToken =
  | {
      readonly kind: "file";
      readonly path: string;
      readonly token: string;
      /** Replaces the token in the file, atomically. */
      replace(token: string): Promise<void>;
    }
  | {
      readonly kind: "variable";
      readonly name: "ROUTEPLANE_API_KEY" | "ROUTEPLANE_OPERATOR_KEY";
      readonly token: string;
    };

/** Tokens in the home, in contexts and in the environment, in use or not. Files that cannot be read are skipped. */
export async function storedTokens(settings: Settings): Promise<readonly StoredToken[]> {
  const { home, apiKey, operatorKey } = settings;
  const file = async (name: "api-key" | "operator-key"): Promise<StoredToken[]> => {
    const token = await readSaved(home, name).catch(() => undefined);
    if (token === undefined) return [];
    return [{ kind: "file", path: join(home, name), token, replace: (next) => writeSaved(home, name, next) }];
  };
  const contexts = await listContexts(settings).catch(() => []);
  return [
    ...(await file("api-key")),
    ...(await file("operator-key")),
    ...contexts.flatMap((context): StoredToken[] => {
      const { name, apiKey: token } = context;
      if (token === undefined) return [];
      const replace = (next: string) => writeContext(settings, { ...context, apiKey: next });
      return [{ kind: "file", path: contextPath(settings, name), token, replace }];
    }),
    ...(apiKey === undefined ? [] : [{ kind: "variable", name: "ROUTEPLANE_API_KEY", token: apiKey } as const]),
    ...(operatorKey === undefined
      ? []
      : [{ kind: "variable", name: "ROUTEPLANE_OPERATOR_KEY", token: operatorKey } as const]),
  ];
}

/** Checks that a token can be sent in a header. The error does not repeat it. @throws CliError CREDENTIAL_INVALID */
export function requireToken(name: string, text: string): string {
  if (/^[\x21-\x7e]{1,4096}$/.test(text)) return text;
  throw new CliError(
    ExitCode.denied,
    "unauthenticated",
    "CREDENTIAL_INVALID",
    `${name}: is not a key: a key starts rp_ and holds only letters, digits and underscores`,
    { hint: SIGN_IN },
  );
}

/** ROUTEPLANE_API_KEY, else the saved login; undefined if there is neither. */
export async function findLogin(settings: Settings): Promise<Credential | undefined> {
  if (settings.apiKey !== undefined) return fromEnvironment("ROUTEPLANE_API_KEY", settings.apiKey);
  const context = await selectedContext(settings);
  const saved = context === undefined ? await readFileOf(settings.home, "api-key") : context.apiKey;
  return saved === undefined ? undefined : fromFile("api-key", saved);
}

function fromEnvironment(name: string, token: string): Credential {
  return { token: requireToken(name, token), source: "environment" };
}

function fromFile(name: string, token: string): Credential {
  return { token: requireToken(`the saved ${name}`, token), source: "saved" };
}

async function readFileOf(home: string, file: "api-key" | "operator-key" | "url"): Promise<string | undefined> {
  try {
    return await readSaved(home, file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(
      ExitCode.failed,
      "failed_precondition",
      "FILE_UNREADABLE",
      `cannot read ${home}/${file}: ${why}`,
      {
        hint: "Make it readable, or set ROUTEPLANE_API_KEY and ROUTEPLANE_URL instead.",
      },
    );
  }
}

function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}
