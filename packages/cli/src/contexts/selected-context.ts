import type { Settings } from "../config.ts";
import { usageError } from "../errors.ts";
import { suggest } from "../suggest.ts";
import {
  contextNames,
  HOME_CONTEXT,
  readContext,
  readCurrentContext,
  requireContextName,
  type SavedContext,
} from "./context-store.ts";

/** Choice of the login that a command uses, unless ROUTEPLANE_API_KEY and ROUTEPLANE_URL give it. */

/**
 * Context in use: that of `--context` or ROUTEPLANE_CONTEXT, else the home that ROUTEPLANE_HOME names, else the one of `context use`.
 * Undefined for the login in the home.
 *
 * @throws CliError usage if there is no such context
 */
export async function selectedContext(settings: Settings): Promise<SavedContext | undefined> {
  const { context: named, isHomeNamed } = settings;
  const name = named ?? (isHomeNamed ? HOME_CONTEXT : await readCurrentContext(settings));
  return name === HOME_CONTEXT ? undefined : requireContext(settings, name);
}

/** Reads a context. @throws CliError usage, with similar names, if there is none */
export async function requireContext(settings: Settings, name: string): Promise<SavedContext> {
  requireContextName("context", name);
  const context = await readContext(settings, name);
  if (context !== undefined) return context;
  const alike = suggest(name, [...(await contextNames(settings)), HOME_CONTEXT]);
  const advice = alike.length === 0 ? "" : `. Did you mean ${alike.join(" or ")}?`;
  throw usageError(
    `there is no context ${JSON.stringify(name)}${advice}`,
    "`routeplane cloud context list` shows all of them, `routeplane cloud login --name <context>` adds one.",
  );
}

/** Setting that takes precedence over the context of `context use`, in words; undefined if none does. */
export function precedingSetting({ apiKey, context, isHomeNamed }: Settings): string | undefined {
  if (apiKey !== undefined) return "ROUTEPLANE_API_KEY is set and takes precedence.";
  if (context !== undefined) return "ROUTEPLANE_CONTEXT or --context is set and takes precedence.";
  return isHomeNamed ? "ROUTEPLANE_HOME is set and takes precedence: add --context, or unset it." : undefined;
}
