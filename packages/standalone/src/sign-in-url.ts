import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { SessionService } from "@routeplane/contracts/auth";
import { authTransport } from "./auth-transport.ts";
import { readSaved } from "./saved-files.ts";

/** Namespace that the first start creates, which the operator most likely wants to see. */
const FIRST_NAMESPACE = "default";
const TIMEOUT_MS = 5_000;

/**
 * Makes an address of the console that signs a browser in, once and within 60 s: with the saved operator credential, which can switch the
 * namespace, else with the saved key. Without a saved credential, or if it is refused, this is the address of the sign-in page.
 *
 * @param authUrl address of the auth service
 */
export async function signInUrl(home: string, consoleUrl: string, authUrl: string): Promise<string> {
  const operatorToken = await readSaved(home, "operator-key");
  const token = operatorToken ?? (await readSaved(home, "api-key"));
  if (token === undefined) return consoleUrl;
  const sessions = createClient(SessionService, authTransport(token, authUrl));
  const codeIn = async (namespace: string): Promise<string> => {
    const { code } = await sessions.createSignInCode({ namespace }, { timeoutMs: TIMEOUT_MS });
    return `${consoleUrl}/sign-in#code=${code}`;
  };
  try {
    if (operatorToken === undefined) return await codeIn("");
    return await codeIn(FIRST_NAMESPACE).catch((error: unknown) => {
      // It was renamed or deleted, or is one of several accounts.
      const { code } = ConnectError.from(error);
      if (code !== Code.NotFound && code !== Code.FailedPrecondition) throw error;
      return codeIn("");
    });
  } catch {
    return consoleUrl;
  }
}
