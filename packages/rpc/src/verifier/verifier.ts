import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { VerificationService, type VerifyKeyResponse } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { DomainError, type ErrorReason, type Id } from "@routeplane/domain";
import { type Component, gauge } from "@routeplane/runtime";
import { type ChangeWatch, watchChanges } from "../changes/change-watch.ts";
import { fromTimestamp } from "../convert.ts";
import { fromConnectError } from "../errors.ts";
import type { EventLog } from "../event-log.ts";
import type { VerifiedPrincipal, VerifyToken } from "../principal.ts";
import { FEED_TIMEOUT_MS, STALE_CHECK_INTERVAL_MS } from "../staleness.ts";
import { CachingVerifier, type CachingVerifierOptions, requirePrincipal } from "./caching-verifier.ts";
import { type CredentialListener, CredentialSubscriptions } from "./credential-subscriptions.ts";

/**
 * Verification of tokens for any service of the node. It makes no call while it is warm, and still refuses a revoked key within
 * 100 ms at p99:
 *
 *     const verifier = createVerifier(serviceTransport({ url: authUrl, serviceToken }), { log });
 *     const { kind } = await verifier.verify(token);
 *     await verifier.stop();
 *
 * Architecture: `watchChanges` receives what changes in the auth service; `CachingVerifier` keeps the results that no change affects, and
 * calls `VerifyKey` for the others; `CredentialSubscriptions` reports changes of their tokens to running requests.
 *
 * Concurrency: everything runs on one thread and in one event loop; the handlers of a change are synchronous, so a change is
 * either before or after a verification, never within it. Calls for the same token share one call.
 *
 * Failure: once the feed has been silent for 2.5 s, every token is verified by call. If the auth service does not answer that
 * either, the token is refused: UNAVAILABLE, within 5 s of the loss (`staleness.ts` has the sum).
 */
export interface Verifier extends Component {
  readonly verify: VerifyToken;
  /** Change feed of the auth service, as it is received. */
  readonly feed: Pick<ChangeWatch, "isLive" | "lastSequence">;
  /**
   * Verifies a token and subscribes to changes of its result, without a gap between the two; without a promise while the result is
   * cached.
   *
   * @throws as `verify`
   */
  readonly subscribe: (
    token: string,
    listener: CredentialListener,
  ) => CredentialSubscription | Promise<CredentialSubscription>;
}

/** Subscription to the verification result of a token. */
export interface CredentialSubscription {
  readonly principal: VerifiedPrincipal;
  readonly release: () => void;
}

export interface VerifierOptions extends Pick<CachingVerifierOptions, "maxBytes" | "maxAgeMs" | "clock" | "monotonic"> {
  /** Logger of one warning when the feed is lost, and of one line when it is back. None by default. */
  readonly log?: EventLog;
}

/** @param auth transport to the auth service */
export function createVerifier(auth: Transport, options: VerifierOptions = {}): Verifier {
  const { clock = Date.now, monotonic = () => performance.now() } = options;
  const client = createClient(VerificationService, auth);
  const watch = watchChanges({
    call: (callOptions) => client.watchChanges({}, callOptions),
    monotonic,
    onChange(subjectId) {
      cached.invalidate(subjectId);
      subscriptions.markStale(subjectId);
    },
    onGap(upToDateAt) {
      cached.invalidateAll();
      subscriptions.markAllStale(upToDateAt);
    },
  });
  const cached = new CachingVerifier({
    ...options,
    verifyUncached: callVerifyKey(client, watch),
    isLive: () => watch.isLive(),
  });
  const verify: VerifyToken = async (token) => requirePrincipal(await cached.verify(token));
  const subscriptions = new CredentialSubscriptions({ verify, watch, clock, monotonic });
  gauge({
    name: "routeplane_auth_feed_age_seconds",
    help: "Time since the change feed of the auth service was last heard. Absent before the first message.",
    merge: "max",
    read() {
      const ageMs = monotonic() - watch.upToDateAt();
      return Number.isFinite(ageMs) ? ageMs / 1_000 : undefined;
    },
  });
  const logLoss = options.log && createLossLog(options.log, watch, monotonic);
  const checks = setInterval(() => {
    subscriptions.checkStale();
    logLoss?.();
  }, STALE_CHECK_INTERVAL_MS).unref();
  return {
    name: "verifier",
    verify,
    feed: watch,
    subscribe: (token, listener) =>
      cached.verifyAndSubscribe(token, (digest, principal, verifiedAt) => {
        return { principal, release: subscriptions.add(digest, token, principal, verifiedAt, listener) };
      }),
    async stop() {
      clearInterval(checks);
      await watch.stop();
    },
  };
}

/**
 * Creates a log of the loss of the feed: one warning when it is lost, and one line when it is back.
 *
 * @returns a function to be called at intervals
 */
function createLossLog(log: EventLog, watch: Pick<ChangeWatch, "isLive">, monotonic: () => number): () => void {
  const startedAt = monotonic();
  let isLost = false;
  return () => {
    const isLive = watch.isLive();
    if (isLost && isLive) {
      isLost = false;
      log.info("change feed of the auth service recovered");
    } else if (!isLost && !isLive && monotonic() - startedAt > FEED_TIMEOUT_MS) {
      isLost = true;
      log.warn("change feed of the auth service lost: tokens are verified by calls");
    }
  };
}

/** Verification by a call to any process of the auth service. Its result is not older than the changes that are known here. */
function callVerifyKey(
  client: Client<typeof VerificationService>,
  { lastSequence }: Pick<ChangeWatch, "lastSequence">,
): VerifyToken {
  return async (token) => {
    const { outcome } = await client.verifyKey({ token, knownChange: lastSequence() }).catch((error: unknown) => {
      throw fromConnectError(error, "auth");
    });
    return fromProtoOutcome(outcome);
  };
}

function fromProtoOutcome(outcome: VerifyKeyResponse["outcome"]): VerifiedPrincipal {
  switch (outcome.case) {
    case "key": {
      const { keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt } = outcome.value;
      const { sessionId, operatorLineage } = outcome.value;
      return {
        kind: "key",
        keyId: keyId as Id<"key">,
        namespaceId: namespaceId as Id<"ns">,
        accountId: accountId as Id<"acc">,
        scopes,
        lineage: lineage as Id<"key">[],
        expiresAt: fromTimestamp(expiresAt),
        graceEndsAt: fromTimestamp(graceEndsAt),
        ...(sessionId !== "" && {
          sessionId: sessionId as Id<"ses">,
          operatorLineage: operatorLineage as Id<"op">[],
        }),
      };
    }
    case "operator": {
      const { operatorId, accountId, scopes, lineage, expiresAt, graceEndsAt, sessionId } = outcome.value;
      return {
        kind: "operator",
        operatorId: operatorId as Id<"op">,
        accountId: accountId === "" ? undefined : (accountId as Id<"acc">),
        scopes,
        lineage: lineage as Id<"op">[],
        expiresAt: fromTimestamp(expiresAt),
        graceEndsAt: fromTimestamp(graceEndsAt),
        ...(sessionId !== "" && { sessionId: sessionId as Id<"ses"> }),
      };
    }
    case "service": {
      const { serviceCredentialId, scopes, namespaceIds, allNamespaces, expiresAt } = outcome.value;
      return {
        kind: "service",
        serviceCredentialId: serviceCredentialId as Id<"svc">,
        namespaceIds: allNamespaces ? undefined : (namespaceIds as Id<"ns">[]),
        scopes,
        expiresAt: fromTimestamp(expiresAt),
      };
    }
    case "refusal": {
      const { reason, message } = outcome.value;
      throw new DomainError("unauthenticated", Reason[reason] as ErrorReason, message);
    }
    default:
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the auth service gave no answer", {
        metadata: { dependency: "auth" },
      });
  }
}
