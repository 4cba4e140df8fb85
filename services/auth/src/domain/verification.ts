import { parseToken, type ParsedToken, type Peppers } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import type { Key } from "./keys/key.ts";
import { isExpired, isRevoked, lastOf } from "./grant-rules.ts";
import type { Operator } from "./operators/operator.ts";
import { createVerifyOperator } from "./operator-verification.ts";
import type { KeyStore, SecretStore } from "./ports.ts";
import { provesSecret, tokenGrant } from "./secret.ts";

/** Whom a token belongs to. A refusal is an answer, not an error; what cannot be known is an error. */
export type Verification =
  | {
      readonly outcome: "key";
      readonly key: Key;
      /** Scopes that this token has now: once it is replaced, only those that a replaced token keeps. */
      readonly scopes: readonly string[];
      /** Expiry of the key, or of this token if that ends earlier. */
      readonly expiresAt: Date | undefined;
      /** End of the token's grace; undefined unless a rotation replaced it. */
      readonly graceEndsAt: Date | undefined;
    }
  | {
      readonly outcome: "operator";
      readonly operator: Operator;
      /** Scopes that this token has now: once it is replaced, only those that a replaced token keeps. */
      readonly scopes: readonly string[];
      /** Expiry of the credential, or of this token if that ends earlier. */
      readonly expiresAt: Date | undefined;
      /** End of the token's grace; undefined unless a rotation replaced it. */
      readonly graceEndsAt: Date | undefined;
    }
  | Refusal;

export interface Refusal {
  readonly outcome: "refused";
  readonly reason:
    | "CREDENTIAL_INVALID"
    | "CREDENTIAL_REVOKED"
    | "CREDENTIAL_EXPIRED"
    | "NAMESPACE_SUSPENDED"
    | "NAMESPACE_DELETED";
  readonly message: string;
}

export interface VerificationDependencies {
  readonly secrets: SecretStore;
  readonly keys: KeyStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export type Verify = (token: string) => Promise<Verification>;

/** Malformed, unknown and wrong look the same: only who holds the secret learns more. */
const INVALID: Refusal = { outcome: "refused", reason: "CREDENTIAL_INVALID", message: "invalid API key" };
const REVOKED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_REVOKED",
  message: "this API key, or a key above it, was revoked",
};
const EXPIRED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_EXPIRED",
  message: "this API key, or a key above it, has expired",
};

const SUSPENDED: Refusal = {
  outcome: "refused",
  reason: "NAMESPACE_SUSPENDED",
  message: "the namespace of this API key is suspended",
};
const DELETED: Refusal = {
  outcome: "refused",
  reason: "NAMESPACE_DELETED",
  message: "the namespace of this API key was deleted",
};
const REPLACED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_EXPIRED",
  message: "this token was replaced when its API key was rotated, and its grace is over",
};

/** `last_used_at` is exact to this, so that it costs a write per minute and key, not one per request. */
const LAST_USED_RESOLUTION_MS = 60_000;

export function createVerify({ secrets, keys, peppers, clock }: VerificationDependencies): Verify {
  const verifyOperator = createVerifyOperator({ secrets, peppers, clock });
  return async (text) => {
    const token = parseToken(text);
    if (token === undefined) return INVALID;
    return token.kind === "key" ? verifyKey(token) : ((await verifyOperator(token)) ?? INVALID);
  };

  async function verifyKey(token: ParsedToken): Promise<Verification> {
    const found = await secrets.findKey(token.lookupId, (secret) => provesSecret(token, secret, peppers));
    if (found === undefined) return INVALID;
    const { lineage, secretEndsAt } = found;
    const now = clock();
    if (secretEndsAt !== undefined && secretEndsAt.getTime() <= now) return REPLACED;
    if (isRevoked(lineage)) return REVOKED;
    if (isExpired(lineage, now)) return EXPIRED;
    const key = lastOf(lineage);
    if (key.namespaceState !== "active") return key.namespaceState === "deleted" ? DELETED : SUSPENDED;
    await recordUse(key, now);
    return { outcome: "key", key, ...tokenGrant("key", lineage, secretEndsAt) };
  }

  async function recordUse({ namespaceId, id, lastUsedAt }: Key, now: number): Promise<void> {
    if (now - (lastUsedAt?.getTime() ?? 0) < LAST_USED_RESOLUTION_MS) return;
    await keys.touch(namespaceId, id, new Date(now), LAST_USED_RESOLUTION_MS);
  }
}
