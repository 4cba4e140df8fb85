import type { MessageInitShape } from "@bufbuild/protobuf";
import type { KeySchema, UpdateKeyRequest } from "@routeplane/contracts/auth";
import { invalidField } from "@routeplane/domain";
import { fromTimestamp, toTimestamp } from "@routeplane/rpc";
import { type Key, parentOf } from "../domain/keys/key.ts";
import type { KeyUpdate } from "../domain/keys/key-change.ts";

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

/**
 * The fields to change: those that the mask names, or without a mask those that are set. A field that the mask names and the
 * request lacks would be cleared; the domain refuses that.
 *
 * @throws DomainError INVALID_ARGUMENT for a mask of any other field
 */
export function fromProtoKeyUpdate({ name, scopes, expiresAt, updateMask }: UpdateKeyRequest): KeyUpdate {
  const masked = updateMask?.paths ?? [];
  const unknown = masked.find((path) => !["name", "scopes", "expires_at"].includes(path));
  if (unknown !== undefined) throw invalidField("update_mask", "must name only name, scopes and expires_at");
  const changes = (path: string, isSet: boolean): boolean => (masked.length === 0 ? isSet : masked.includes(path));
  return {
    ...(changes("name", name !== "") && { name }),
    ...(changes("scopes", scopes.length > 0) && { scopes }),
    ...(changes("expires_at", expiresAt !== undefined) && { expiresAt: fromTimestamp(expiresAt) ?? "never" }),
  };
}
