import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { BootstrapService } from "@routeplane/contracts/auth";
import { mintToken } from "@routeplane/credentials";
import { ServiceConnection, type ServiceTls, serviceTransport } from "@routeplane/rpc";
import { createIfMissing, readIfExists } from "./saved-files.ts";

/** Maximum time of the call. */
const CALL_TIMEOUT_MS = 30_000;
const PAUSE_MS = 500;

export interface BootstrapOptions {
  /** Address of the auth service, not of the gateway. */
  readonly authUrl: string;
  /** Token of the internal caller `installer`. */
  readonly serviceToken: string;
  /** Operator token of the node, which the caller has saved before: a lost first token could never be replaced. */
  readonly operatorToken: string;
  /** Authorities and certificate for an `https:` address. */
  readonly tls?: ServiceTls | undefined;
  /** Maximum wait for the auth service to answer, in milliseconds; 0 by default: a single attempt. */
  readonly waitMs?: number;
}

/** Ids of the account and the namespace `default`; empty for one that was renamed or deleted since. */
export interface BootstrappedNode {
  readonly accountId: string;
  readonly namespaceId: string;
}

/** Error of a node that was set up with another operator token. */
export class OtherCredentialError extends Error {
  override readonly name = "OtherCredentialError";
}

/**
 * Creates the account, the namespace `default` and the first operator credential of a node. Does nothing on a node that was set up
 * with the same token, so it can be interrupted and run again, also in several processes at once.
 *
 * @throws OtherCredentialError if the node was set up with another token
 * @throws ConnectError if the auth service does not answer in time, or refuses the call
 */
export async function bootstrapNode(options: BootstrapOptions): Promise<BootstrappedNode> {
  const { authUrl: url, serviceToken, operatorToken, tls, waitMs = 0 } = options;
  const connection = new ServiceConnection({ url, tls });
  const transport = serviceTransport({ url, serviceToken, timeoutMs: CALL_TIMEOUT_MS, connection });
  const client = createClient(BootstrapService, transport);
  const deadline = performance.now() + waitMs;
  try {
    for (;;) {
      try {
        return await client.bootstrapNode({ operatorToken });
      } catch (error) {
        const { code } = ConnectError.from(error);
        if (code === Code.FailedPrecondition)
          throw new OtherCredentialError("this node was set up with another operator credential");
        const mayAnswerLater = code === Code.Unavailable || code === Code.DeadlineExceeded;
        if (!mayAnswerLater || performance.now() > deadline) throw error;
        await sleep(PAUSE_MS);
      }
    }
  } finally {
    connection.stop();
  }
}

/**
 * Returns the operator token in a file. Creates the file with a new token, readable by its owner only, if it does not exist. If several
 * processes do this at the same time, all return the token of the first.
 */
export async function ensureOperatorToken(file: string): Promise<string> {
  const saved = (await readIfExists(file)) ?? (await createIfMissing(file, `${mintToken("operator")}\n`, 0o600));
  return saved.trim();
}
