import { redactTokens } from "@routeplane/credentials";

const MAX_CHARS = 4_000;

/**
 * Makes the message of an error safe to send: redacts tokens, replaces control characters (a terminal may obey them) and
 * truncates. The message may quote anything that the caller sent.
 */
export function safeText(text: string): string {
  return redactTokens(text.slice(0, MAX_CHARS)).replace(/\p{Cc}/gu, "\ufffd");
}
