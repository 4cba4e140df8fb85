import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type KeySchema,
  type NamespaceSchema,
  VerificationRefusalSchema,
  type VerifyKeyResponse,
  VerifiedKeySchema,
  VerifiedOperatorSchema,
} from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { toTimestamp } from "@routeplane/rpc";
import { type Key, parentOf } from "../domain/key.ts";
import { type Namespace, restorableUntil } from "../domain/namespace.ts";
import type { Verification } from "../domain/verification.ts";

export function toProtoKey(key: Key): MessageInitShape<typeof KeySchema> {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    scopes: [...key.scopes],
    parentId: parentOf(key) ?? "",
    createdAt: toTimestamp(key.createdAt),
    ...(key.expiresAt && { expiresAt: toTimestamp(key.expiresAt) }),
    ...(key.lastUsedAt && { lastUsedAt: toTimestamp(key.lastUsedAt) }),
    ...(key.revokedAt && { revokedAt: toTimestamp(key.revokedAt) }),
  };
}

/** @param active the namespace that the caller is bound to, if any */
export function toProtoNamespace(
  namespace: Namespace,
  active: Namespace["id"] | undefined,
): MessageInitShape<typeof NamespaceSchema> {
  const { id, name, createdAt, suspendedAt, deletedAt } = namespace;
  const until = restorableUntil(namespace);
  return {
    id,
    name,
    createdAt: toTimestamp(createdAt),
    active: id === active,
    ...(suspendedAt && { suspendedAt: toTimestamp(suspendedAt) }),
    ...(deletedAt && { deletedAt: toTimestamp(deletedAt) }),
    ...(until && { restorableUntil: toTimestamp(until) }),
  };
}

export function toProtoOutcome(verification: Verification): VerifyKeyResponse["outcome"] {
  switch (verification.outcome) {
    case "key": {
      const { key, scopes, expiresAt } = verification;
      const value = create(VerifiedKeySchema, {
        keyId: key.id,
        namespaceId: key.namespaceId,
        accountId: key.accountId,
        scopes: [...scopes],
        lineage: [...key.lineage],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
      });
      return { case: "key", value };
    }
    case "operator": {
      const { id: operatorId, accountId } = verification.operator;
      return { case: "operator", value: create(VerifiedOperatorSchema, { operatorId, accountId }) };
    }
    case "refused": {
      const { reason, message } = verification;
      return { case: "refusal", value: create(VerificationRefusalSchema, { reason: Reason[reason], message }) };
    }
  }
}
