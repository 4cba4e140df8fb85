import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { ALL_SCOPES } from "@routeplane/credentials";
import { authTransport } from "./auth-transport.ts";
import { bootstrapNode, ensureOperatorToken, OtherCredentialError } from "./bootstrap.ts";
import type { HomeLayout } from "./home.ts";
import { StartFailure } from "./start-failure.ts";
import { readIfExists, readSaved, writeAtomically, writeSaved } from "./saved-files.ts";

/**
 * Creates the account, the namespace `default`, the operator credential and the root key of a new node, and saves both
 * credentials in the home. It can be interrupted at any point and run again. Once it is complete it does nothing, so that a login
 * that was removed stays removed.
 *
 * @param authUrl address of the auth service, not of the gateway
 * @returns true at the first start
 */
export async function seed(layout: HomeLayout, authUrl: string, serviceToken: string): Promise<boolean> {
  if ((await readIfExists(layout.seeded)) !== undefined) return false;
  const { home } = layout;
  // Saved before it is used: a lost first token could never be replaced.
  const operatorToken = await ensureOperatorToken(join(home, "operator-key"));
  await bootstrap(authUrl, serviceToken, operatorToken);
  if ((await readSaved(home, "api-key")) === undefined) {
    const keys = createClient(KeyService, authTransport(operatorToken, authUrl));
    const { token } = await keys.mintRootKey({ namespace: "default", name: "root", scopes: [...ALL_SCOPES] });
    await writeSaved(home, "api-key", token);
  }
  await writeAtomically(layout.seeded, `${new Date().toISOString()}\n`, 0o644);
  return true;
}

async function bootstrap(authUrl: string, serviceToken: string, operatorToken: string): Promise<void> {
  try {
    await bootstrapNode({ authUrl, serviceToken, operatorToken });
  } catch (error) {
    if (!(error instanceof OtherCredentialError)) throw error;
    throw new StartFailure(
      `${error.message} than the one in operator-key: restore that file, or remove the whole folder to start anew`,
    );
  }
}
