import { parseToken, type ParsedToken, type Peppers, type TokenKind } from "@routeplane/credentials";
import type { Clock, Id } from "@routeplane/domain";
import { isExpired, isRevoked, lastOf } from "./grant-rules.ts";
import type { Key } from "./keys/key.ts";
import type { Operator } from "./operators/operator.ts";
import type { KeyStore, ProvenCredential, SecretStore } from "./ports.ts";
import { type TokenGrant, tokenGrant } from "./rotation.ts";
import type { ServiceCredential } from "./service-credentials/service-credential.ts";
import { provesSecret, type StoredSecret } from "./secret.ts";

/**
 * Verification: which credential a token stands for, and what it may do at this moment. One path for keys, operator credentials and
 * service credentials.
 *
 * - Latency: a malformed token costs its checksum. Any other token costs one transaction of five round trips, and a key one
 *   more write a minute, for `last_used_at`. Nothing is cached here; `createLocalVerifier` caches the results.
 * - Concurrency: secret, namespace and lineage are read in one transaction, so a result is never a mix of two states.
 * - Failure: a refusal is a result. An error means that the question could not be answered (UNAVAILABLE).
 */

export type Verification =
  | ({ readonly outcome: "key"; readonly key: Key } & TokenGrant)
  | ({ readonly outcome: "operator"; readonly operator: Operator } & TokenGrant)
  | ({ readonly outcome: "service"; readonly service: ServiceCredential } & TokenGrant)
  | VerificationRefusal;

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
};
const EXPIRED: Readonly<Record<TokenKind, VerificationRefusal>> = {
  key: refusal("CREDENTIAL_EXPIRED", "this API key, or a key above it, has expired"),
  operator: refusal("CREDENTIAL_EXPIRED", "this operator credential, or one above it, has expired"),
  service: refusal("CREDENTIAL_EXPIRED", "this service credential has expired"),
};
const GRACE_OVER: Readonly<Record<TokenKind, VerificationRefusal>> = {
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
    if (credential.kind === "key") await recordUse(lastOf(credential.lineage), now);
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
    }
  }

  async function recordUse({ namespaceId, id, lastUsedAt }: Key, now: number): Promise<void> {
    if (now - (lastUsedAt?.getTime() ?? 0) < LAST_USED_RESOLUTION_MS) return;
    await keys.touch(namespaceId, id, new Date(now), LAST_USED_RESOLUTION_MS);
  }
}

/** The first of: grace over, revoked, expired, namespace not active; undefined if the token is good. */
function refusalOf(credential: ProvenCredential, now: number): VerificationRefusal | undefined {
  const { kind, lineage, secretEndsAt } = credential;
  if (secretEndsAt !== undefined && secretEndsAt.getTime() <= now) return GRACE_OVER[kind];
  if (isRevoked(lineage)) return REVOKED[kind];
  if (isExpired(lineage, now)) return EXPIRED[kind];
  if (credential.kind !== "key") return undefined;
  const { namespaceState } = lastOf(credential.lineage);
  if (namespaceState === "active") return undefined;
  return namespaceState === "deleted" ? NAMESPACE_DELETED : NAMESPACE_SUSPENDED;
}

function toVerification(credential: ProvenCredential): Verification {
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

function namespaceOf(credential: ProvenCredential): Pick<VerificationRefusal, "namespaceId"> {
  return credential.kind === "key" ? { namespaceId: lastOf(credential.lineage).namespaceId } : {};
}

function refusal(reason: VerificationRefusal["reason"], message: string): VerificationRefusal {
  return { outcome: "refused", reason, message };
}
