import { type RawBuilder, type Selectable, sql, type SqlBool } from "kysely";
import type { Key } from "../domain/keys/key.ts";
import type { Namespace } from "../domain/namespaces/namespace.ts";
import type { Account } from "../domain/namespaces/account.ts";
import type { Operator } from "../domain/operators/operator.ts";
import type { Page, PageRequest } from "../domain/ports.ts";
import type { Rotation } from "../domain/rotation.ts";
import type { ServiceCredential } from "../domain/service-credentials/service-credential.ts";
import type { StoredSecret } from "../domain/secret.ts";
import type { AuthSchema, SecretColumns } from "./schema.ts";

/** A key row with the account and the state of its namespace. */
type KeyRow = Selectable<AuthSchema["keys"]> & {
  account_id: Key["accountId"];
  namespace_state: Key["namespaceState"];
};

export function fromKeyRow(row: KeyRow): Key {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    accountId: row.account_id,
    namespaceState: row.namespace_state,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    lineage: row.lineage,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    revokedReason: row.revoked_reason ?? undefined,
  };
}

export function toKeyRow(key: Key) {
  return {
    namespace_id: key.namespaceId,
    id: key.id,
    lineage: [...key.lineage],
    created_at: key.createdAt,
    last_used_at: key.lastUsedAt ?? null,
    ...toChangeableKeyColumns(key),
  };
}

/** Columns that a change of a key can touch. */
export function toChangeableKeyColumns({ name, prefix, scopes, expiresAt, revokedAt, revokedReason }: Key) {
  return {
    name,
    prefix,
    scopes: [...scopes],
    expires_at: expiresAt ?? null,
    revoked_at: revokedAt ?? null,
    revoked_reason: revokedReason ?? null,
  };
}

export function fromAccountRow(row: Selectable<AuthSchema["accounts"]>): Account {
  return { id: row.id, name: row.name, createdAt: row.created_at };
}

export function toAccountRow({ id, name, createdAt }: Account) {
  return { id, name, created_at: createdAt };
}

export function fromNamespaceRow(row: Selectable<AuthSchema["namespaces"]>): Namespace {
  return {
    id: row.id,
    accountId: row.account_id,
    name: row.name,
    createdAt: row.created_at,
    suspendedAt: row.suspended_at ?? undefined,
    deletedAt: row.deleted_at ?? undefined,
  };
}

export function toNamespaceRow({ id, accountId, name, createdAt, suspendedAt, deletedAt }: Namespace) {
  return {
    id,
    account_id: accountId,
    name,
    created_at: createdAt,
    suspended_at: suspendedAt ?? null,
    deleted_at: deletedAt ?? null,
  };
}

export function fromOperatorRow(row: Selectable<AuthSchema["operators"]>): Operator {
  return {
    id: row.id,
    accountId: row.account_id ?? undefined,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    lineage: row.lineage,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    revokedReason: row.revoked_reason ?? undefined,
  };
}

export function toOperatorRow(operator: Operator) {
  return {
    id: operator.id,
    account_id: operator.accountId ?? null,
    name: operator.name,
    scopes: [...operator.scopes],
    lineage: [...operator.lineage],
    created_at: operator.createdAt,
    expires_at: operator.expiresAt ?? null,
    ...toChangeableOperatorColumns(operator),
  };
}

/** Columns that a change of an operator credential can touch. */
export function toChangeableOperatorColumns({ prefix, revokedAt, revokedReason }: Operator) {
  return { prefix, revoked_at: revokedAt ?? null, revoked_reason: revokedReason ?? null };
}

export function fromServiceCredentialRow(row: Selectable<AuthSchema["service_credentials"]>): ServiceCredential {
  return {
    id: row.id,
    accountId: row.account_id ?? undefined,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    namespaceIds: row.namespace_ids ?? undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    revokedReason: row.revoked_reason ?? undefined,
  };
}

export function toServiceCredentialRow(service: ServiceCredential) {
  return {
    id: service.id,
    account_id: service.accountId ?? null,
    name: service.name,
    scopes: [...service.scopes],
    namespace_ids: service.namespaceIds === undefined ? null : [...service.namespaceIds],
    created_at: service.createdAt,
    expires_at: service.expiresAt ?? null,
    ...toChangeableServiceCredentialColumns(service),
  };
}

/** Columns that a change of a service credential can touch. A revoked one does not keep its name. */
export function toChangeableServiceCredentialColumns({ prefix, revokedAt, revokedReason }: ServiceCredential) {
  return {
    prefix,
    revoked_at: revokedAt ?? null,
    revoked_reason: revokedReason ?? null,
    holds_name: revokedAt === undefined,
  };
}

export function fromSecretColumns(row: SecretColumns): StoredSecret {
  return { lookupId: row.lookup_id, hash: row.secret_hash, pepperId: row.pepper_id };
}

export function toSecretColumns({ lookupId, hash, pepperId }: StoredSecret): SecretColumns {
  return { lookup_id: lookupId, secret_hash: hash, pepper_id: pepperId };
}

/** Condition on a credential's secrets: those that the rotation ends, or whose end it brings forward. */
export function secretsEndedBy({ graceEndsAt, endsAll }: Rotation): RawBuilder<SqlBool> {
  return sql`(expires_at is null or (${endsAll} and expires_at > ${graceEndsAt}))`;
}

/** Makes a page from at most `size + 1` rows: the extra row only shows that there are more. */
export function toPage<T>(rows: readonly T[], { size }: PageRequest<unknown>): Page<T> {
  return { rows: rows.slice(0, size), hasMore: rows.length > size };
}
