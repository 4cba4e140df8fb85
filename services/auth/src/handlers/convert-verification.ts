import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type RevokedKeySchema,
  VerificationRefusalSchema,
  VerifiedKeySchema,
  VerifiedOperatorSchema,
  VerifiedServiceSchema,
  type VerifyKeyResponse,
  VerifyKeyResponseSchema,
} from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { parseToken } from "@routeplane/credentials";
import { DomainError, type Id } from "@routeplane/domain";
import {
  type Principal,
  reachesNamespace,
  type ServicePrincipal,
  toTimestamp,
  type VerificationResult,
  type VerifiedPrincipal,
} from "@routeplane/rpc";
import type { Revocation } from "../domain/ports.ts";
import { INVALID, type Verification, type VerificationRefusal } from "../domain/verification.ts";

/** Error for a refused token, with the namespace of its key if the secret is proven. The namespace never crosses the wire. */
export class TokenRefusal extends DomainError {
  readonly namespaceId: Id<"ns"> | undefined;

  constructor({ reason, message, namespaceId }: VerificationRefusal) {
    super("unauthenticated", reason, message);
    this.namespaceId = namespaceId;
  }
}

/** The principal of a verified token. @throws DomainError UNAUTHENTICATED for a refused token */
export function toPrincipal(verification: Verification): VerifiedPrincipal {
  switch (verification.outcome) {
    case "key": {
      const { key, scopes, expiresAt, graceEndsAt, session } = verification;
      const { id: keyId, namespaceId, accountId, lineage } = key;
      const acting = session && { sessionId: session.id, operatorLineage: session.operatorLineage };
      return { kind: "key", keyId, namespaceId, accountId, scopes, lineage, expiresAt, graceEndsAt, ...acting };
    }
    case "operator": {
      const { operator, scopes, expiresAt, graceEndsAt, session } = verification;
      const { id: operatorId, accountId, lineage } = operator;
      const acting = session && { sessionId: session.id };
      return { kind: "operator", operatorId, accountId, scopes, lineage, expiresAt, graceEndsAt, ...acting };
    }
    case "service": {
      const { service, scopes, expiresAt } = verification;
      const { id: serviceCredentialId, namespaceIds } = service;
      return { kind: "service", serviceCredentialId, namespaceIds, scopes, expiresAt };
    }
    case "refused":
      throw new TokenRefusal(verification);
  }
}

/** Result for a token that is not a key of the caller's namespaces: the same as for an unknown token, so that they cannot be told apart. */
const UNKNOWN: VerificationResult = { refusal: new DomainError("unauthenticated", INVALID.reason, INVALID.message) };

/**
 * Verification result as the caller may see it. A service credential learns which keys of its namespaces are valid, and why the others are
 * refused. Only services of the node see results for sessions.
 */
export function visibleTo(caller: Principal, token: string, result: VerificationResult): VerificationResult {
  if (caller.kind === "internal" && caller.caller !== "workload") return result;
  if (parseToken(token)?.kind === "session") return UNKNOWN;
  return caller.kind === "service" ? visibleToService(caller, result) : result;
}

function visibleToService(service: ServicePrincipal, result: VerificationResult): VerificationResult {
  if ("principal" in result) {
    const { principal } = result;
    return principal.kind === "key" && reachesNamespace(service, principal.namespaceId) ? result : UNKNOWN;
  }
  const { refusal } = result;
  const namespaceId = refusal instanceof TokenRefusal ? refusal.namespaceId : undefined;
  return namespaceId !== undefined && reachesNamespace(service, namespaceId) ? result : UNKNOWN;
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
      const { sessionId = "", operatorLineage = [] } = principal;
      const value = create(VerifiedKeySchema, {
        keyId,
        namespaceId,
        accountId,
        scopes: [...scopes],
        lineage: [...lineage],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
        sessionId,
        operatorLineage: [...operatorLineage],
      });
      return { case: "key", value };
    }
    case "operator": {
      const { operatorId, accountId = "", scopes, lineage, expiresAt, graceEndsAt, sessionId = "" } = principal;
      const value = create(VerifiedOperatorSchema, {
        operatorId,
        accountId,
        scopes: [...scopes],
        lineage: [...lineage],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
        sessionId,
      });
      return { case: "operator", value };
    }
    case "service": {
      const { serviceCredentialId, namespaceIds, scopes, expiresAt } = principal;
      const value = create(VerifiedServiceSchema, {
        serviceCredentialId,
        namespaceIds: [...(namespaceIds ?? [])],
        allNamespaces: namespaceIds === undefined,
        scopes: [...scopes],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
      });
      return { case: "service", value };
    }
  }
}
