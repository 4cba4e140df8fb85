import { chmod, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { readIfExists, writeAtomically } from "@routeplane/standalone/saved-files";
import type { Settings } from "../config.ts";
import { CliError, ExitCode, usageError } from "../errors.ts";

/**
 * Contexts: logins with a name, each a file in `contexts` of the configuration folder, readable by its owner only. The file
 * `current-context` in that folder holds the name of the context in use. The login in the home is the context `home`, which is not stored
 * here.
 */

/** Name of the login in the home: of the local node, in a checkout. */
export const HOME_CONTEXT = "home";

/** Id and name of a resource. */
export interface NamedResource {
  readonly id: string;
  readonly name: string;
}

/** Login with a name. */
export interface SavedContext {
  readonly name: string;
  /** Address of the node. */
  readonly url: string;
  /** Undefined after a logout. */
  readonly apiKey: string | undefined;
  /** Namespace that the key is bound to; undefined for an operator credential. */
  readonly namespace: NamedResource | undefined;
}

/** Content of the file of a context, as JSON. */
interface ContextFile {
  readonly url: string;
  readonly api_key: string | null;
  readonly namespace: NamedResource | null;
}

/** Parses the name of a context. @param option that gives it, for the error @throws CliError usage */
export function requireContextName(option: string, name: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) return name;
  throw usageError(
    `${option}: must be the name of a context: 1 to 63 of a-z, 0-9, ., _ and -, starting with a letter or digit`,
  );
}

/** Path of the file of a context. */
export function contextPath({ configFolder }: Settings, name: string): string {
  return join(configFolder, "contexts", `${name}.json`);
}

/** Reads a context; undefined if there is none. @throws CliError FILE_UNREADABLE */
export async function readContext(settings: Settings, name: string): Promise<SavedContext | undefined> {
  const path = contextPath(settings, name);
  const text = await reading(path, () => readIfExists(path));
  if (text === undefined) return undefined;
  const { url, api_key, namespace } = await reading(path, async () => requireContextFile(JSON.parse(text)));
  return { name, url, apiKey: api_key ?? undefined, namespace: namespace ?? undefined };
}

/** Reads all contexts, by name. @throws CliError FILE_UNREADABLE */
export async function listContexts(settings: Settings): Promise<readonly SavedContext[]> {
  const all = await Promise.all((await contextNames(settings)).map((name) => readContext(settings, name)));
  return all.filter((context) => context !== undefined);
}

/** Names of all contexts but `home`, sorted. */
export async function contextNames({ configFolder }: Settings): Promise<readonly string[]> {
  const folder = join(configFolder, "contexts");
  const files = await reading(folder, () => readdir(folder).catch(emptyIfMissing));
  return files.flatMap((file) => /^([a-z0-9][a-z0-9._-]{0,62})\.json$/.exec(file)?.[1] ?? []).toSorted();
}

/** Replaces a context atomically. Folder and file are readable by their owner only. */
export async function writeContext(settings: Settings, { name, url, apiKey, namespace }: SavedContext): Promise<void> {
  const folder = join(settings.configFolder, "contexts");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const file: ContextFile = { url, api_key: apiKey ?? null, namespace: namespace ?? null };
  await writeAtomically(contextPath(settings, name), `${JSON.stringify(file, null, 2)}\n`, 0o600);
}

/** Removes a context, if there is one. */
export async function removeContext(settings: Settings, name: string): Promise<void> {
  await rm(contextPath(settings, name), { force: true });
}

/** Reads the name that `context use` saved; `home` if there is none. @throws CliError FILE_UNREADABLE */
export async function readCurrentContext(settings: Settings): Promise<string> {
  const path = currentPath(settings);
  return (await reading(path, () => readIfExists(path)))?.trim() || HOME_CONTEXT;
}

/** Saves the name of the context to use from now on. */
export async function writeCurrentContext(settings: Settings, name: string): Promise<void> {
  if (name === HOME_CONTEXT) return rm(currentPath(settings), { force: true });
  await mkdir(settings.configFolder, { recursive: true, mode: 0o700 });
  await writeAtomically(currentPath(settings), `${name}\n`, 0o600);
}

function currentPath({ configFolder }: Settings): string {
  return join(configFolder, "current-context");
}

function requireContextFile(json: unknown): ContextFile {
  if (isContextFile(json)) return json;
  throw new Error("it is not a context");
}

function isContextFile(json: unknown): json is ContextFile {
  if (typeof json !== "object" || json === null || !("url" in json && "api_key" in json && "namespace" in json))
    return false;
  const { url, api_key: key, namespace } = json;
  return (
    typeof url === "string" && (key === null || typeof key === "string") && (namespace === null || isNamed(namespace))
  );
}

function isNamed(json: unknown): json is NamedResource {
  return (
    typeof json === "object" &&
    json !== null &&
    "id" in json &&
    "name" in json &&
    typeof json.id === "string" &&
    typeof json.name === "string"
  );
}

function emptyIfMissing(error: NodeJS.ErrnoException): readonly string[] {
  if (error.code === "ENOENT") return [];
  throw error;
}

async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const why = error instanceof SyntaxError || !(error instanceof Error) ? "it is not a context" : error.message;
    throw new CliError(ExitCode.failed, "failed_precondition", "FILE_UNREADABLE", `cannot read ${path}: ${why}`, {
      hint: "Sign in again with `routeplane cloud login --name <context>`, or set ROUTEPLANE_API_KEY and ROUTEPLANE_URL instead.",
    });
  }
}
