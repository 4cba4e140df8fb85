import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AccountSchema,
  type KeySchema,
  type NamespaceSchema,
  type OperatorSchema,
  type UpdateKeyRequest,
  VerificationRefusalSchema,
  type VerifyKeyResponse,
  VerifyKeyResponseSchema,
  VerifiedKeySchema,
  VerifiedOperatorSchema,
} from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { invalidField } from "@routeplane/domain";
import { fromTimestamp, toTimestamp, type VerificationResult } from "@routeplane/rpc";
import { type Key, parentOf } from "../domain/keys/key.ts";
import type { KeyUpdate } from "../domain/keys/key-change.ts";
import { type Namespace, restorableUntil } from "../domain/namespaces/namespace.ts";
import type { Account } from "../domain/namespaces/account.ts";
import type { Operator } from "../domain/operators/operator.ts";

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
    revokedReason: key.revokedReason ?? "",
  };
}

export function toProtoAccount({ id, name, createdAt }: Account): MessageInitShape<typeof AccountSchema> {
  return { id, name, createdAt: toTimestamp(createdAt) };
}

export function toProtoOperator(operator: Operator): MessageInitShape<typeof OperatorSchema> {
  const { id, name, prefix, scopes, lineage, accountId, createdAt, expiresAt, revokedAt, revokedReason } = operator;
  return {
    id,
    name,
    prefix,
    scopes: [...scopes],
    parentId: lineage.at(-2) ?? "",
    accountId: accountId ?? "",
    createdAt: toTimestamp(createdAt),
    ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
    ...(revokedAt && { revokedAt: toTimestamp(revokedAt) }),
    revokedReason: revokedReason ?? "",
  };
}

/**
 * What to change: what the mask names, or without one what is set. Whatever it names and the request does not hold is to be
 * cleared, and it is for the domain to say that it cannot be.
 *
 * @throws DomainError INVALID_ARGUMENT for a mask of anything else
 */
export function fromProtoKeyUpdate({ name, scopes, expiresAt, updateMask }: UpdateKeyRequest): KeyUpdate {
  const masked = updateMask?.paths ?? [];
  const foreign = masked.find((path) => !["name", "scopes", "expires_at"].includes(path));
  if (foreign !== undefined) throw invalidField("update_mask", "must name only name, scopes and expires_at");
  const changes = (path: string, isSet: boolean): boolean => (masked.length === 0 ? isSet : masked.includes(path));
  return {
    ...(changes("name", name !== "") && { name }),
    ...(changes("scopes", scopes.length > 0) && { scopes }),
    ...(changes("expires_at", expiresAt !== undefined) && { expiresAt: fromTimestamp(expiresAt) ?? "never" }),
  };
}

/** @param active the namespace that the caller is bound to, if any */
export function toProtoNamespace(
  namespace: Namespace,
  active: Namespace["id"] | undefined,
): MessageInitShape<typeof NamespaceSchema> {
  const { id, accountId, name, createdAt, suspendedAt, deletedAt } = namespace;
  const until = restorableUntil(namespace);
  return {
    id,
    name,
    createdAt: toTimestamp(createdAt),
    active: id === active,
    accountId,
    ...(suspendedAt && { suspendedAt: toTimestamp(suspendedAt) }),
    ...(deletedAt && { deletedAt: toTimestamp(deletedAt) }),
    ...(until && { restorableUntil: toTimestamp(until) }),
  };
}

/** The same frozen message for the same answer: one that is kept is encoded once. */
export function toProtoAnswer(answer: VerificationResult): VerifyKeyResponse {
  const known = RESPONSES.get(answer);
  if (known !== undefined) return known;
  const response = Object.freeze(create(VerifyKeyResponseSchema, { outcome: toProtoOutcome(answer) }));
  RESPONSES.set(answer, response);
  return response;
}

const RESPONSES = new WeakMap<VerificationResult, VerifyKeyResponse>();

function toProtoOutcome(answer: VerificationResult): VerifyKeyResponse["outcome"] {
  if ("refusal" in answer) {
    const { reason, message } = answer.refusal;
    return { case: "refusal", value: create(VerificationRefusalSchema, { reason: Reason[reason], message }) };
  }
  const { principal } = answer;
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
