import { redactTokens } from "@routeplane/credentials";
import type { Provider } from "./providers/providers.ts";

/** Takes tokens of this product and the providers' keys out of a text, as they stand and as JSON writes them. */
export function createRedaction(providers: readonly Provider[]): (text: string) => string {
  const keys = providers.flatMap(({ upstream }) => (upstream === "echo" ? [] : (upstream.apiKey ?? [])));
  const spellings = [...new Set(keys.flatMap((key) => [key, JSON.stringify(key).slice(1, -1)]))];
  return (text) => spellings.reduce((clean, key) => clean.replaceAll(key, "[redacted]"), redactTokens(text));
}
