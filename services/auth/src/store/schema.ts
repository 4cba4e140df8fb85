import type { AuditSchema } from "@routeplane/audit";
import type { OperatorScope, Scope, ServiceScope } from "@routeplane/credentials";
import type { Id } from "@routeplane/domain";
import type { Origin } from "@routeplane/runtime";
import type { Generated, GeneratedAlways, JSONColumnType } from "kysely";
import type { SessionEnd } from "../domain/sessions/session.ts";

/** Tables of schema `auth` after all migrations. */
export interface AuthSchema extends AuditSchema {
  readonly accounts: { id: Id<"acc">; name: string; created_at: Date };
  readonly namespaces: {
    id: Id<"ns">;
    account_id: Id<"acc">;
    name: string;
    created_at: Date;
    suspended_at: Date | null;
    deleted_at: Date | null;
  };
  readonly operators: {
    id: Id<"op">;
    account_id: Id<"acc"> | null;
    name: string;
    prefix: string;
    scopes: OperatorScope[];
    lineage: Id<"op">[];
    parent_id: Generated<Id<"op"> | null>;
    created_at: Date;
    expires_at: Date | null;
    revoked_at: Date | null;
    revoked_reason: string | null;
  };
  readonly operator_secrets: SecretColumns & {
    operator_id: Id<"op">;
    account_id: Id<"acc"> | null;
    expires_at: Date | null;
  };
  readonly service_credentials: {
    id: Id<"svc">;
    account_id: Id<"acc"> | null;
    name: string;
    prefix: string;
    scopes: ServiceScope[];
    /** Null for all namespaces of the node. */
    namespace_ids: Id<"ns">[] | null;
    created_at: Date;
    expires_at: Date | null;
    revoked_at: Date | null;
    revoked_reason: string | null;
    /** False once another one may have the name. */
    holds_name: Generated<boolean>;
  };
  readonly service_credential_secrets: SecretColumns & {
    service_credential_id: Id<"svc">;
    account_id: Id<"acc"> | null;
    expires_at: Date | null;
  };
  readonly keys: {
    namespace_id: Id<"ns">;
    id: Id<"key">;
    name: string;
    prefix: string;
    scopes: Scope[];
    lineage: Id<"key">[];
    parent_id: Generated<Id<"key"> | null>;
    created_at: Date;
    expires_at: Date | null;
    last_used_at: Date | null;
    revoked_at: Date | null;
    revoked_reason: string | null;
  };
  readonly sessions: SecretColumns & {
    /** Empty for a session in no namespace. */
    namespace_id: Id<"ns"> | "";
    id: Id<"ses">;
    account_id: Id<"acc"> | null;
    key_id: Id<"key"> | null;
    operator_id: Id<"op"> | null;
    name: string;
    scopes: string[];
    operator_scopes: OperatorScope[] | null;
    created_at: Date;
    expires_at: Date;
    revoked_at: Date | null;
    ended_by: SessionEnd | null;
    address: string;
  };
  readonly sign_in_codes: {
    /** Empty for a code of an operator credential, for a session in no namespace. */
    namespace_id: Id<"ns"> | "";
    code_hash: Buffer;
    account_id: Id<"acc"> | null;
    key_id: Id<"key"> | null;
    operator_id: Id<"op"> | null;
    expires_at: Date;
  };
  /** Keys as which sessions of operator credentials act. */
  readonly console_keys: { namespace_id: Id<"ns">; operator_id: Id<"op">; key_id: Id<"key"> };
  /** Revocations that are not acknowledged yet. */
  readonly revoked_keys: {
    namespace_id: Id<"ns">;
    key_id: Id<"key">;
    revoked_at: Date;
    origin: JSONColumnType<Partial<Origin>>;
  };
  /** Keys that are or were minted with limits. */
  readonly limited_keys: {
    namespace_id: Id<"ns">;
    key_id: Id<"key">;
    lineage: Id<"key">[];
    origin: GeneratedAlways<Partial<Origin>>;
    minted_at: Date | null;
    ends_at: Date;
    ended_at: Date | null;
  };
  readonly key_secrets: SecretColumns & { namespace_id: Id<"ns">; key_id: Id<"key">; expires_at: Date | null };
}

export interface SecretColumns {
  lookup_id: string;
  secret_hash: Buffer;
  pepper_id: string;
}
