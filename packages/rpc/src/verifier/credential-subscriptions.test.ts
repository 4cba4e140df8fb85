import { mintToken } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import { expect, it, vi } from "vitest";
import type { VerifiedPrincipal } from "../principal.ts";
import { MAX_STALE_MS } from "../staleness.ts";
import { CachingVerifier } from "./caching-verifier.ts";
import { CredentialSubscriptions } from "./credential-subscriptions.ts";

const PRINCIPAL: VerifiedPrincipal = {
  kind: "key",
  keyId: newId("key"),
  namespaceId: newId("ns"),
  accountId: newId("acc"),
  scopes: ["inference:invoke"],
  lineage: [],
  expiresAt: undefined,
  graceEndsAt: undefined,
};

/** Slowest call to the auth service that still answers. */
const SLOW_CALL_MS = 1_900;

it.each(["the only request", "a request that joins a verification in flight"])(
  "counts staleness from the start of a slow verification while the feed is lost: %s",
  async (which) => {
    let now = 10_000;
    const monotonic = () => now;
    const watch = { isLive: () => false, upToDateAt: () => 0 };
    const { promise: slowCall, resolve: answer } = Promise.withResolvers<VerifiedPrincipal>();
    const verifier = new CachingVerifier({ verifyUncached: () => slowCall, isLive: watch.isLive, monotonic });
    const verify = () => Promise.reject(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "auth is down"));
    const subscriptions = new CredentialSubscriptions({ verify, watch, clock: Date.now, monotonic });
    const outcomes: (VerifiedPrincipal | DomainError)[] = [];

    const token = mintToken("key");
    const startedAt = now;
    if (which !== "the only request") {
      void verifier.verify(token);
      now += 1_000;
    }
    const subscribed = verifier.verifyAndSubscribe(token, (digest, principal, verifiedAt) =>
      subscriptions.add(digest, token, principal, verifiedAt, (outcome) => void outcomes.push(outcome)),
    );
    now = startedAt + SLOW_CALL_MS;
    answer(PRINCIPAL);
    const release = await subscribed;

    now = startedAt + MAX_STALE_MS - 1;
    subscriptions.checkStale();
    expect(outcomes).toEqual([]);
    now = startedAt + MAX_STALE_MS;
    subscriptions.checkStale();
    expect(outcomes).toMatchObject([{ reason: "DEPENDENCY_UNAVAILABLE" }]);
    release();
  },
);

it("verifies a token again that changes between the result of its check and the report of it", async () => {
  const watch = { isLive: () => true, upToDateAt: () => 0 };
  const checks: PromiseWithResolvers<VerifiedPrincipal>[] = [];
  const verify = () => {
    const check = Promise.withResolvers<VerifiedPrincipal>();
    checks.push(check);
    return check.promise;
  };
  const subscriptions = new CredentialSubscriptions({ verify, watch, clock: Date.now, monotonic: () => 0 });
  const outcomes: (VerifiedPrincipal | DomainError)[] = [];
  const principal: VerifiedPrincipal = { ...PRINCIPAL, lineage: [PRINCIPAL.keyId] };
  subscriptions.add("digest", mintToken("key"), principal, 0, (outcome) => void outcomes.push(outcome));

  subscriptions.markStale(principal.namespaceId);
  // The revocation is announced in the turn in which the result from before it is known.
  checks[0]?.resolve(principal);
  subscriptions.markStale(principal.keyId);
  await vi.waitFor(() => expect(checks).toHaveLength(2));
  checks[1]?.reject(new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "revoked"));
  await vi.waitFor(() => expect(outcomes).toMatchObject([principal, { reason: "CREDENTIAL_REVOKED" }]));
});

it.each([
  ["is set back", -3_600_000],
  ["goes on", 0],
  ["is set forward", 3_600_000],
])("ends the subscription of a key that expires, also if the wall clock %s", (_how, stepMs) => {
  let elapsed = 0;
  let step = 0;
  const watch = { isLive: () => true, upToDateAt: () => elapsed };
  const clock = () => 1_800_000_000_000 + elapsed + step;
  const verify = () => Promise.reject(new Error("is not called"));
  const subscriptions = new CredentialSubscriptions({ verify, watch, clock, monotonic: () => elapsed });
  const outcomes: (VerifiedPrincipal | DomainError)[] = [];
  const principal: VerifiedPrincipal = { ...PRINCIPAL, expiresAt: new Date(clock() + 10_000) };
  subscriptions.add("digest", mintToken("key"), principal, 0, (outcome) => void outcomes.push(outcome));

  elapsed = 9_999;
  subscriptions.checkStale();
  expect(outcomes).toEqual([]);
  [elapsed, step] = [10_000, stepMs];
  subscriptions.checkStale();
  expect(outcomes).toMatchObject([{ reason: "CREDENTIAL_EXPIRED" }]);
});
