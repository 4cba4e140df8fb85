import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type RevokedKeySchema,
  VerificationRefusalSchema,
  VerifiedKeySchema,
  VerifiedOperatorSchema,
  type VerifyKeyResponse,
  VerifyKeyResponseSchema,
} from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { DomainError } from "@routeplane/domain";
import { type Principal, toTimestamp, type VerificationResult } from "@routeplane/rpc";
import type { Revocation } from "../domain/ports.ts";
import type { Verification } from "../domain/verification.ts";

/** The principal of a verified token. @throws DomainError UNAUTHENTICATED for a refused token */
export function toPrincipal(verification: Verification): Principal {
  switch (verification.outcome) {
    case "key": {
      const { key, scopes, expiresAt, graceEndsAt } = verification;
      const { id: keyId, namespaceId, accountId, lineage } = key;
      return { kind: "key", keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt };
    }
    case "operator": {
      const { operator, scopes, expiresAt, graceEndsAt } = verification;
      const { id: operatorId, accountId, lineage } = operator;
      return { kind: "operator", operatorId, accountId, scopes, lineage, expiresAt, graceEndsAt };
    }
    case "refused":
      throw new DomainError("unauthenticated", verification.reason, verification.message);
  }
}

export function toProtoRevokedKey({
  namespaceId,
  keyId,
  revokedAt,
  origin,
}: Revocation): MessageInitShape<typeof RevokedKeySchema> {
  return { namespaceId, keyId, revokedAt: toTimestamp(revokedAt), ...origin };
}

const RESPONSES = new WeakMap<VerificationResult, VerifyKeyResponse>();

/** Response to VerifyKey: the same frozen message for the same result, so that a cached result is encoded once. */
export function toProtoVerification(result: VerificationResult): VerifyKeyResponse {
  const encoded = RESPONSES.get(result);
  if (encoded !== undefined) return encoded;
  const response = Object.freeze(create(VerifyKeyResponseSchema, { outcome: toProtoOutcome(result) }));
  RESPONSES.set(result, response);
  return response;
}

function toProtoOutcome(result: VerificationResult): VerifyKeyResponse["outcome"] {
  if ("refusal" in result) {
    const { reason, message } = result.refusal;
    return { case: "refusal", value: create(VerificationRefusalSchema, { reason: Reason[reason], message }) };
  }
  const { principal } = result;
  switch (principal.kind) {
    case "key": {
      const { keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt } = principal;
      const value = create(VerifiedKeySchema, {
        keyId,
        namespaceId,
        accountId,
        scopes: [...scopes],
        lineage: [...lineage],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
      });
      return { case: "key", value };
    }
    case "operator": {
      const { operatorId, accountId = "", scopes, lineage, expiresAt, graceEndsAt } = principal;
      const value = create(VerifiedOperatorSchema, {
        operatorId,
        accountId,
        scopes: [...scopes],
        lineage: [...lineage],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
      });
      return { case: "operator", value };
    }
    case "service":
      throw new Error("a service has no token that is verified");
  }
}
