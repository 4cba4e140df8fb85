import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { VerificationService, type VerifyKeyResponse } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { DomainError, type ErrorReason, type Id } from "@routeplane/domain";
import type { Component, Logger } from "@routeplane/runtime";
import { type ChangeWatch, watchChanges } from "../changes/change-watch.ts";
import { fromTimestamp } from "../convert.ts";
import { fromConnectError } from "../errors.ts";
import type { Principal, VerifyToken } from "../principal.ts";
import { CachingVerifier, type CachingVerifierOptions, requirePrincipal } from "./caching-verifier.ts";
import {
  CredentialSubscriptions,
  type CredentialListener,
  STALE_CHECK_INTERVAL_MS,
} from "./credential-subscriptions.ts";
import { logLoss } from "./loss-log.ts";

/**
 * Verification that costs no call while it is warm, and still refuses a revoked key within 100 ms at p99:
 *
 *     const verifier = createVerifier(serviceTransport({ url: authUrl, serviceToken }));
 *     const { kind } = await verifier.verify(token);
 *     await verifier.stop();
 *
 * Answers are kept while the change feed says what changes. Once it has been silent for 2.5 s every token is verified by
 * call, and when the auth service does not answer that either, refused: UNAVAILABLE, within 5 s of the loss.
 */
export interface Verifier extends Component {
  readonly verify: VerifyToken;
  /**
   * Verifies, and from that very moment on tells `heed` what becomes of the token.
   *
   * @throws as `verify`
   */
  readonly subscribe: (
    token: string,
    heed: CredentialListener,
  ) => Promise<{ readonly principal: Principal; readonly release: () => void }>;
}

export interface VerifierOptions extends Pick<CachingVerifierOptions, "capacity" | "clock" | "monotonic"> {
  /** Told once when nothing is heard of changes any more, and once when they are heard again. None by default. */
  readonly log?: Logger;
}

/** @param auth transport to the auth service */
export function createVerifier(auth: Transport, options: VerifierOptions = {}): Verifier {
  const { clock = Date.now, monotonic = () => performance.now() } = options;
  const client = createClient(VerificationService, auth);
  const watch = watchChanges({
    call: (callOptions) => client.watchChanges({}, callOptions),
    monotonic,
    onChange(subject) {
      answers.invalidate(subject);
      followers.markStale(subject);
    },
    onGap(knownAt) {
      answers.invalidateAll();
      followers.markAllStale(knownAt);
    },
  });
  const answers = new CachingVerifier({
    ...options,
    verifyUncached: callVerifyKey(client, watch),
    isLive: () => watch.isLive(),
  });
  const verify: VerifyToken = async (token) => requirePrincipal(await answers.verify(token));
  const followers = new CredentialSubscriptions({ verify, watch, clock, monotonic });
  const noteLoss = options.log && logLoss(options.log, watch, monotonic);
  const ticks = setInterval(() => {
    followers.checkStale();
    noteLoss?.();
  }, STALE_CHECK_INTERVAL_MS).unref();
  return {
    name: "verifier",
    verify,
    subscribe: (token, heed) =>
      answers.verifyAndSubscribe(token, (digest, principal) => {
        return { principal, release: followers.add(digest, token, principal, heed) };
      }),
    async stop() {
      clearInterval(ticks);
      await watch.stop();
    },
  };
}

/** Asks the auth service, every time, and whichever process of it, for what is not older than what is known here. */
function callVerifyKey(
  client: Client<typeof VerificationService>,
  { lastSequence: last }: Pick<ChangeWatch, "lastSequence">,
): VerifyToken {
  return async (token) => {
    const { outcome } = await client.verifyKey({ token, knownChange: last() }).catch((error: unknown) => {
      throw fromConnectError(error, "auth");
    });
    return fromProtoOutcome(outcome);
  };
}

function fromProtoOutcome(outcome: VerifyKeyResponse["outcome"]): Principal {
  switch (outcome.case) {
    case "key": {
      const { keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt } = outcome.value;
      return {
        kind: "key",
        keyId: keyId as Id<"key">,
        namespaceId: namespaceId as Id<"ns">,
        accountId: accountId as Id<"acc">,
        scopes,
        lineage: lineage as Id<"key">[],
        expiresAt: fromTimestamp(expiresAt),
        graceEndsAt: fromTimestamp(graceEndsAt),
      };
    }
    case "operator": {
      const { operatorId, accountId, scopes, lineage, expiresAt, graceEndsAt } = outcome.value;
      return {
        kind: "operator",
        operatorId: operatorId as Id<"op">,
        accountId: accountId === "" ? undefined : (accountId as Id<"acc">),
        scopes,
        lineage: lineage as Id<"op">[],
        expiresAt: fromTimestamp(expiresAt),
        graceEndsAt: fromTimestamp(graceEndsAt),
      };
    }
    case "refusal": {
      const { reason, message } = outcome.value;
      throw new DomainError("unauthenticated", Reason[reason] as ErrorReason, message);
    }
    default:
      throw noAnswer("the auth service gave no answer");
  }
}

function noAnswer(message: string): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "auth" } });
}
