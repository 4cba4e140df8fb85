import type { ParsedToken } from "@routeplane/credentials";
import { isExpired, isRevoked, lastOf } from "./grant-rules.ts";
import { provesSecret, tokenGrant } from "./secret.ts";
import type { Refusal, Verification, VerificationDependencies } from "./verification.ts";

const REVOKED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_REVOKED",
  message: "this operator credential, or one above it, was revoked",
};
const EXPIRED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_EXPIRED",
  message: "this operator credential, or one above it, has expired",
};
const REPLACED: Refusal = {
  outcome: "refused",
  reason: "CREDENTIAL_EXPIRED",
  message: "this token was replaced when its operator credential was rotated, and its grace is over",
};

/** Verifies an operator's token as a key's is verified; undefined if it is nobody's. */
export function createVerifyOperator({
  secrets,
  peppers,
  clock,
}: Omit<VerificationDependencies, "keys">): (token: ParsedToken) => Promise<Verification | undefined> {
  return async (token) => {
    const found = await secrets.findOperator(token.lookupId, (secret) => provesSecret(token, secret, peppers));
    if (found === undefined) return undefined;
    const { lineage, secretEndsAt } = found;
    const now = clock();
    if (secretEndsAt !== undefined && secretEndsAt.getTime() <= now) return REPLACED;
    if (isRevoked(lineage)) return REVOKED;
    if (isExpired(lineage, now)) return EXPIRED;
    return { outcome: "operator", operator: lastOf(lineage), ...tokenGrant("operator", lineage, secretEndsAt) };
  };
}
