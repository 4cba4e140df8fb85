import { hash } from "node:crypto";
import { createClient, type Transport } from "@connectrpc/connect";
import { VerificationService, type VerifyKeyResponse } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { parseToken } from "@routeplane/credentials";
import { type Clock, DomainError, type ErrorReason, type Id } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";
import { watchChanges } from "../changes/change-watch.ts";
import { fromTimestamp } from "../convert.ts";
import { fromConnectError } from "../errors.ts";
import type { Principal } from "../principal.ts";
import { Followers, type Heed, TICK_MS } from "./followers.ts";
import { ChangeRecord } from "./subjects.ts";
import { VerificationCache } from "./verification-cache.ts";

/**
 * Says whom a token belongs to.
 *
 * @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE if it cannot be known
 */
export type KeyVerifier = (token: string) => Promise<Principal>;

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
  readonly verify: KeyVerifier;
  /**
   * Verifies, and from that very moment on tells `heed` what becomes of the token.
   *
   * @throws as `verify`
   */
  readonly follow: (
    token: string,
    heed: Heed,
  ) => Promise<{ readonly principal: Principal; readonly release: () => void }>;
}

export interface VerifierOptions {
  /** Tokens whose answers are kept, good and bad ones counted apart. 20,000 by default. */
  readonly capacity?: number;
  /** `Date.now` by default. */
  readonly clock?: Clock;
  /** `performance.now` by default. */
  readonly monotonic?: () => number;
}

/** An answer that is overtaken by changes is asked for again, and hardly ever twice. */
const MAX_ATTEMPTS = 5;

/** @param auth transport to the auth service */
export function createVerifier(auth: Transport, options: VerifierOptions = {}): Verifier {
  const { capacity = 20_000, clock = Date.now, monotonic = () => performance.now() } = options;
  const cache = new VerificationCache({ capacity, clock, monotonic });
  const records = new Set<ChangeRecord>();
  const underWay = new Map<string, Promise<Principal>>();
  const call = callVerifyKey(auth);
  const client = createClient(VerificationService, auth);
  const watch = watchChanges({
    call: (options) => client.watchChanges({}, options),
    monotonic,
    onChange(subject) {
      cache.drop(subject);
      for (const record of records) record.note(subject);
      followers.changed(subject);
    },
    onGap(knownAt) {
      cache.clear();
      for (const record of records) record.noteGap();
      followers.missedChanges(knownAt);
    },
  });
  const verify: KeyVerifier = async (token) => verifyDigest(digestOf(token), token);
  const followers = new Followers({ verify, watch, clock, monotonic });
  const ticks = setInterval(() => followers.tick(), TICK_MS).unref();

  function verifyDigest(digest: string, token: string): Principal | Promise<Principal> {
    const known = watch.isLive() ? cache.find(digest) : undefined;
    if (known === undefined) return underWay.get(digest) ?? ask(digest, token);
    if ("refusal" in known) throw known.refusal;
    return known.principal;
  }

  function ask(digest: string, token: string): Promise<Principal> {
    if (parseToken(token) === undefined) {
      throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
    }
    const answer = currentAnswer(digest, token).finally(() => underWay.delete(digest));
    underWay.set(digest, answer);
    return answer;
  }

  async function currentAnswer(digest: string, token: string): Promise<Principal> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const askedAt = monotonic();
      const live = watch.isLive();
      const record = new ChangeRecord();
      records.add(record);
      try {
        const principal = await call(token);
        if (record.touches(principal)) continue;
        if (live && watch.isLive()) cache.keep(digest, principal, askedAt);
        return principal;
      } catch (error) {
        const refusal = error instanceof DomainError && error.code === "unauthenticated" ? error : undefined;
        if (refusal !== undefined && live && record.isEmpty) cache.refuse(digest, refusal, askedAt);
        throw error;
      } finally {
        records.delete(record);
      }
    }
    throw noAnswer("this API key changes faster than it can be verified; try again");
  }

  return {
    name: "verifier",
    verify,
    async follow(token, heed) {
      const digest = digestOf(token);
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        // A change may come between the answer and its reader.
        const record = new ChangeRecord();
        records.add(record);
        try {
          const principal = await verifyDigest(digest, token);
          if (!record.touches(principal)) return { principal, release: followers.add(digest, token, principal, heed) };
        } finally {
          records.delete(record);
        }
      }
      throw noAnswer("this API key changes faster than it can be verified; try again");
    },
    async stop() {
      clearInterval(ticks);
      await watch.stop();
    },
  };
}

function digestOf(token: string): string {
  return hash("sha256", token, "base64");
}

/** Asks the auth service, every time. */
function callVerifyKey(auth: Transport): KeyVerifier {
  const client = createClient(VerificationService, auth);
  return async (token) => {
    const { outcome } = await client.verifyKey({ token }).catch((error: unknown) => {
      throw fromConnectError(error, "auth");
    });
    return fromProtoOutcome(outcome);
  };
}

function fromProtoOutcome(outcome: VerifyKeyResponse["outcome"]): Principal {
  switch (outcome.case) {
    case "key": {
      const { keyId, namespaceId, accountId, scopes, lineage, expiresAt } = outcome.value;
      return {
        kind: "key",
        keyId: keyId as Id<"key">,
        namespaceId: namespaceId as Id<"ns">,
        accountId: accountId as Id<"acc">,
        scopes,
        lineage: lineage as Id<"key">[],
        expiresAt: fromTimestamp(expiresAt),
      };
    }
    case "operator": {
      const { operatorId, accountId, scopes, lineage, expiresAt } = outcome.value;
      return {
        kind: "operator",
        operatorId: operatorId as Id<"op">,
        accountId: accountId === "" ? undefined : (accountId as Id<"acc">),
        scopes,
        lineage: lineage as Id<"op">[],
        expiresAt: fromTimestamp(expiresAt),
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
