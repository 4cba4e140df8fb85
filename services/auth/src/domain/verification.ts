import { parseToken, type ParsedToken, type Peppers, type TokenKind } from "@routeplane/credentials";
import { type Clock, DomainError, type Id } from "@routeplane/domain";
import { isExpired, isRevoked, lastOf } from "./grant-rules.ts";
import type { Key, KeyLineage } from "./keys/key.ts";
import type { Operator } from "./operators/operator.ts";
import type { KeyStore, ProvenCredential, ProvenSession, SecretStore } from "./ports.ts";
import { type TokenGrant, tokenGrant } from "./rotation.ts";
import type { ServiceCredential } from "./service-credentials/service-credential.ts";
import { lineagesOf, sessionExpiry, sessionScopes } from "./sessions/session.ts";
import { provesSecret, type StoredSecret } from "./secret.ts";

/**
 * Verification: which credential a token belongs to, and what it may do at this moment. One path serves keys, operator credentials, service
 * credentials and sessions, which are verified as the key or operator credential that they act as.
 *
 * - Latency: a malformed token costs its checksum. Any other token costs one transaction of five round trips, and a key one more write a
 *   minute, for `last_used_at`. Nothing is cached here; `createLocalVerifier` caches the results.
 * - Concurrency: secret, namespace and lineage are read in one transaction, so a result is never a mix of two states.
 * - Failure: a refusal is a result. An error (UNAVAILABLE) means that the token could not be verified.
 */

export type Verification =
  | ({ readonly outcome: "key"; readonly key: Key; readonly session?: VerifiedSession } & TokenGrant)
  | ({ readonly outcome: "operator"; readonly operator: Operator; readonly session?: VerifiedSession } & TokenGrant)
  | ({ readonly outcome: "service"; readonly service: ServiceCredential } & TokenGrant)
  | VerificationRefusal;

/** The session that acts as a verified credential. */
export interface VerifiedSession {
  readonly id: Id<"ses">;
  /** Ids of the operator credential that opened it, and of those above it; empty if a key did. */
  readonly operatorLineage: readonly Id<"op">[];
}

export interface VerificationRefusal {
  readonly outcome: "refused";
  readonly reason:
    | "CREDENTIAL_INVALID"
    | "CREDENTIAL_REVOKED"
    | "CREDENTIAL_EXPIRED"
    | "NAMESPACE_SUSPENDED"
    | "NAMESPACE_DELETED";
  readonly message: string;
  /** Namespace of the key; undefined for any other token, and where the secret is not proven. */
  readonly namespaceId?: Id<"ns">;
}

export interface VerificationDependencies {
  readonly secrets: SecretStore;
  readonly keys: Pick<KeyStore, "touch">;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

/** @throws DomainError UNAVAILABLE */
export type Verify = (token: string) => Promise<Verification>;

/** Refusal of malformed, unknown and wrong tokens, which must look the same: only the holder of the secret learns more. */
export const INVALID = refusal("CREDENTIAL_INVALID", "invalid API key");

const REVOKED: Readonly<Record<TokenKind, VerificationRefusal>> = {
  key: refusal("CREDENTIAL_REVOKED", "this API key, or a key above it, was revoked"),
  operator: refusal("CREDENTIAL_REVOKED", "this operator credential, or one above it, was revoked"),
  service: refusal("CREDENTIAL_REVOKED", "this service credential was revoked"),
  session: refusal("CREDENTIAL_REVOKED", "the credential of this session, or one above it, was revoked"),
};
const EXPIRED: Readonly<Record<TokenKind, VerificationRefusal>> = {
  key: refusal("CREDENTIAL_EXPIRED", "this API key, or a key above it, has expired"),
  operator: refusal("CREDENTIAL_EXPIRED", "this operator credential, or one above it, has expired"),
  service: refusal("CREDENTIAL_EXPIRED", "this service credential has expired"),
  session: refusal("CREDENTIAL_EXPIRED", "this session has expired: sign in again"),
};
const SESSION_ENDED = refusal("CREDENTIAL_REVOKED", "this session has ended: sign in again");
const GRACE_OVER: Readonly<Record<Exclude<TokenKind, "session">, VerificationRefusal>> = {
  key: refusal("CREDENTIAL_EXPIRED", "this token was replaced when its API key was rotated, and its grace is over"),
  operator: refusal(
    "CREDENTIAL_EXPIRED",
    "this token was replaced when its operator credential was rotated, and its grace is over",
  ),
  service: refusal(
    "CREDENTIAL_EXPIRED",
    "this token was replaced when its service credential was rotated, and its grace is over",
  ),
};
const NAMESPACE_SUSPENDED = refusal("NAMESPACE_SUSPENDED", "the namespace of this API key is suspended");
const NAMESPACE_DELETED = refusal("NAMESPACE_DELETED", "the namespace of this API key was deleted");

/** Resolution of `last_used_at`: using a key costs one write a minute, not one a request. */
const LAST_USED_RESOLUTION_MS = 60_000;

export function createVerify({ secrets, keys, peppers, clock }: VerificationDependencies): Verify {
  return async (text) => {
    const token = parseToken(text);
    if (token === undefined) return INVALID;
    const credential = await findProven(token);
    if (credential === undefined) return INVALID;
    const now = clock();
    const refused = refusalOf(credential, now);
    if (refused !== undefined) return { ...refused, ...namespaceOf(credential) };
    const key = keyLineageOf(credential);
    if (key !== undefined) await recordUse(lastOf(key), now);
    return toVerification(credential);
  };

  /** The credential whose secret the token holds; undefined for an unknown or a wrong token. */
  function findProven(token: ParsedToken): Promise<ProvenCredential | undefined> {
    const proves = (secret: StoredSecret) => provesSecret(token, secret, peppers);
    switch (token.kind) {
      case "key":
        return secrets.findKey(token.lookupId, proves);
      case "operator":
        return secrets.findOperator(token.lookupId, proves);
      case "service":
        return secrets.findService(token.lookupId, proves);
      case "session":
        return secrets.findSession(token.lookupId, proves);
    }
  }

  async function recordUse({ namespaceId, id, lastUsedAt }: Key, now: number): Promise<void> {
    if (now - (lastUsedAt?.getTime() ?? 0) < LAST_USED_RESOLUTION_MS) return;
    await keys.touch(namespaceId, id, new Date(now), LAST_USED_RESOLUTION_MS);
  }
}

/**
 * First of these refusals that applies: grace over or session ended, revoked, expired, namespace not active. Undefined if the token is
 * valid.
 */
function refusalOf(credential: ProvenCredential, now: number): VerificationRefusal | undefined {
  const { kind } = credential;
  if (kind === "session") {
    if (credential.session.revokedAt !== undefined) return SESSION_ENDED;
    if (credential.session.expiresAt.getTime() <= now) return EXPIRED.session;
  } else if (credential.secretEndsAt !== undefined && credential.secretEndsAt.getTime() <= now) return GRACE_OVER[kind];
  const lineages = kind === "session" ? lineagesOf(credential.lineages) : [credential.lineage];
  if (lineages.some(isRevoked)) return REVOKED[kind];
  if (lineages.some((lineage) => isExpired(lineage, now))) return EXPIRED[kind];
  const key = keyLineageOf(credential);
  if (key === undefined) return undefined;
  const { namespaceState } = lastOf(key);
  if (namespaceState === "active") return undefined;
  return namespaceState === "deleted" ? NAMESPACE_DELETED : NAMESPACE_SUSPENDED;
}

/**
 * Requires that a session is valid, except for the state of its namespace: a session of an operator credential may leave a namespace that
 * was suspended or deleted.
 *
 * @throws DomainError UNAUTHENTICATED
 */
export function requireLeavable(credential: ProvenSession, now: number): void {
  const refused = refusalOf(credential, now);
  if (refused === undefined || refused === NAMESPACE_SUSPENDED || refused === NAMESPACE_DELETED) return;
  throw new DomainError("unauthenticated", refused.reason, refused.message);
}

function toVerification(credential: ProvenCredential): Verification {
  if (credential.kind === "session") return toSessionVerification(credential);
  const { kind, lineage, secretEndsAt } = credential;
  const grant = tokenGrant(kind, lineage, secretEndsAt);
  switch (credential.kind) {
    case "key":
      return { outcome: "key", key: lastOf(credential.lineage), ...grant };
    case "operator":
      return { outcome: "operator", operator: lastOf(credential.lineage), ...grant };
    case "service":
      return { outcome: "service", service: lastOf(credential.lineage), ...grant };
  }
}

/** The credential that a session acts as, narrowed to the session. */
function toSessionVerification({ session, lineages }: ProvenSession): Verification {
  const { key, operator } = lineages;
  const operatorLineage = operator === undefined ? [] : lastOf(operator).lineage;
  const grant = {
    scopes: sessionScopes(session, lineages),
    expiresAt: sessionExpiry(session, lineages),
    graceEndsAt: undefined,
    session: { id: session.id, operatorLineage },
  };
  if (key === undefined) return { outcome: "operator", operator: lastOf(lineages.operator), ...grant };
  return { outcome: "key", key: lastOf(key), ...grant };
}

function namespaceOf(credential: ProvenCredential): Pick<VerificationRefusal, "namespaceId"> {
  const key = keyLineageOf(credential);
  return key === undefined ? {} : { namespaceId: lastOf(key).namespaceId };
}

/** Lineage of the key, or of the key that a session acts as; undefined for any other credential. */
function keyLineageOf(credential: ProvenCredential): KeyLineage | undefined {
  if (credential.kind === "session") return credential.lineages.key;
  return credential.kind === "key" ? credential.lineage : undefined;
}

function refusal(reason: VerificationRefusal["reason"], message: string): VerificationRefusal {
  return { outcome: "refused", reason, message };
}
