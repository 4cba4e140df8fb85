import { redactTokens } from "@routeplane/credentials";

const MAX_LENGTH = 4_000;

/**
 * Words of an error as they may leave the process: they may quote the caller, who may have sent a credential, characters that
 * a terminal obeys, or a megabyte.
 */
export function safeText(text: string): string {
  return redactTokens(text.slice(0, MAX_LENGTH)).replace(/\p{Cc}/gu, "\ufffd");
}
