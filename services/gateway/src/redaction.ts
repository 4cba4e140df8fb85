import { redactTokens } from "@routeplane/credentials";
import { SecretRedactor } from "./domain/response/secret-redactor.ts";
import type { Provider } from "./providers/providers.ts";

export interface Redaction {
  /** Removes the keys of providers. */
  readonly secrets: SecretRedactor;
  /** Removes those, and tokens of this product, from a text that the gateway writes: a log line or an error. */
  readonly text: (text: string) => string;
}

export function createRedaction(providers: readonly Provider[]): Redaction {
  const keys = providers.flatMap(({ upstream }) => (upstream === "echo" ? [] : (upstream.apiKey ?? [])));
  const secrets = new SecretRedactor(keys);
  return { secrets, text: (text) => secrets.text(redactTokens(text)) };
}
