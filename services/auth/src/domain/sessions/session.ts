import { effectiveScopes, type OperatorScope, parseOperatorScopes } from "@routeplane/credentials";
import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import {
  earlierOf,
  expiryOf,
  type Grant,
  type GrantErrors,
  isExpired,
  isRevoked,
  lastOf,
  type LineageOf,
  requireScopesWithin,
  scopesOf,
} from "../grant-rules.ts";
import { type KeyLineage, requireScopes } from "../keys/key.ts";
import type { OperatorLineage } from "../operators/operator.ts";
import { requireActiveNamespace, requireNamespaceScope } from "./console-key.ts";

/** A session credential, without its secret. It acts as a key of its namespace or, without a namespace, as an operator credential. */
export interface Session {
  readonly id: Id<"ses">;
  /** Namespace that it is permanently bound to; undefined for a session without a namespace. */
  readonly namespaceId: Id<"ns"> | undefined;
  /** Account of the namespace; without a namespace, the account that the operator credential is limited to. */
  readonly accountId: Id<"acc"> | undefined;
  /** Key that it acts as; undefined without a namespace. */
  readonly keyId: Id<"key"> | undefined;
  /** Operator credential that opened it; undefined if the key did. */
  readonly operatorId: Id<"op"> | undefined;
  /** Name of the credential that opened it, at that time. */
  readonly name: string;
  /** Scopes that it was opened with. The scopes in effect are the intersection with those of its lineage. */
  readonly scopes: readonly string[];
  /** Operator scopes that an exchange passes on; undefined if it cannot be exchanged. */
  readonly operatorScopes: readonly OperatorScope[] | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | undefined;
  readonly endedBy: SessionEnd | undefined;
  /** Client address from which it was opened; empty if unknown. */
  readonly address: string;
}

/** Cause of the end of a session before its expiry. */
export type SessionEnd = "revocation" | "sign_out" | "exchange" | "rotation";

/** Session with the name of its namespace. */
export interface NamedSession extends Session {
  readonly namespaceName: string | undefined;
}

/**
 * Lineages that a session depends on: that of the key that it acts as, that of the operator credential that opened it, or both. Both apply
 * to a session of an operator credential in a namespace.
 */
export type SessionLineages =
  | { readonly key: KeyLineage; readonly operator: OperatorLineage | undefined }
  | { readonly key: undefined; readonly operator: OperatorLineage };

/** Properties of a session to open. */
export interface SessionRequest {
  /** Scopes of a key or, without a namespace, of an operator credential; empty for all. */
  readonly scopes: readonly string[];
  /** Client address; empty if unknown. */
  readonly address: string;
}

/** Longest life of a session. */
export const SESSION_MS = 12 * 3_600_000;

const OPEN_ERRORS: GrantErrors = {
  bound: "credential",
  scopes: {
    reason: "SCOPE_EXCEEDS_PARENT",
    message: (scopes) => `scopes: a session cannot hold more than its credential, and yours does not hold ${scopes}`,
  },
  expiry: {
    reason: "EXPIRY_EXCEEDS_PARENT",
    message: (latest) => `expires_at: a session cannot outlive its credential, and yours expires at ${latest}`,
  },
};

/**
 * A new session that depends on `lineages`, read now. A session of an operator credential can be exchanged if it is opened with all
 * scopes, or in no namespace.
 *
 * @throws DomainError UNAUTHENTICATED, INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function newSession(lineages: SessionLineages, { scopes, address }: SessionRequest, now: number): Session {
  requireOpener(lineages, now);
  const { key, operator } = lineages;
  const expiresAt = sessionExpiry({ expiresAt: new Date(now + SESSION_MS) }, lineages);
  const opened = { ...boundTo(lineages), id: newId("ses"), createdAt: new Date(now), expiresAt, address };
  const rest = { revokedAt: undefined, endedBy: undefined };
  if (key === undefined) {
    const held = operatorScopesOf(operator, scopes);
    return { ...opened, ...rest, scopes: held, operatorScopes: held };
  }
  const held = scopes.length === 0 ? scopesOf(key) : requireScopes(scopes);
  requireScopesWithin(held, key, OPEN_ERRORS);
  const operatorScopes = operator !== undefined && scopes.length === 0 ? scopesOf(operator) : undefined;
  return { ...opened, ...rest, scopes: held, operatorScopes };
}

/**
 * The session that replaces `session`, with the same operator scopes and the same end, in another namespace or in none.
 *
 * @throws DomainError UNAUTHENTICATED, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function exchangedSession(session: Session, lineages: SessionLineages, now: number): Session {
  const operatorScopes = requireExchangeable(session);
  if (lineages.key !== undefined) requireNamespaceScope(operatorScopes);
  const { address, expiresAt, name } = session;
  const opened = newSession(lineages, { scopes: lineages.key === undefined ? operatorScopes : [], address }, now);
  return { ...opened, name, operatorScopes, expiresAt: earlierOf(opened.expiresAt, expiresAt) ?? expiresAt };
}

/** Operator scopes that the session passes on. @throws DomainError PERMISSION_DENIED for one that cannot be exchanged */
function requireExchangeable({ operatorId, operatorScopes }: Session): readonly OperatorScope[] {
  if (operatorScopes !== undefined) return operatorScopes;
  const cause = operatorId === undefined ? "a key opened this session" : "this session was opened with chosen scopes";
  throw sessionRefused(`${cause}: it stays in its namespace, so sign in anew for another one`);
}

/** Scopes that a session holds now: those that it was opened with and that its lineage has. */
export function sessionScopes({ scopes }: Session, { key, operator }: SessionLineages): readonly string[] {
  return effectiveScopes<string>([scopes, key === undefined ? scopesOf(operator) : scopesOf(key)]);
}

/** First moment at which a session is refused: its own expiry, or that of a credential that it depends on. */
export function sessionExpiry({ expiresAt }: Pick<Session, "expiresAt">, { key, operator }: SessionLineages): Date {
  const ofCredentials = earlierOf(key && expiryOf(key), operator && expiryOf(operator));
  return earlierOf(expiresAt, ofCredentials) ?? expiresAt;
}

/** Lists the lineages that a session depends on. */
export function lineagesOf({ key, operator }: SessionLineages): readonly LineageOf<Grant>[] {
  return [key, operator].filter((lineage) => lineage !== undefined);
}

/** The session, ended; the same object if it has ended already, for any cause. */
export function endedSession<S extends Session>(session: S, endedBy: SessionEnd, now: number): S {
  return session.revokedAt === undefined ? { ...session, revokedAt: new Date(now), endedBy } : session;
}

/** Error for a session that attempts what only its credential may do. */
export function sessionRefused(message: string): DomainError {
  return new DomainError("permission_denied", "SESSION_CREDENTIAL_REFUSED", message);
}

function boundTo({ key, operator }: SessionLineages) {
  const opener = operator === undefined ? key && lastOf(key) : lastOf(operator);
  const acting = key && lastOf(key);
  return {
    namespaceId: acting?.namespaceId,
    accountId: acting === undefined ? operator && lastOf(operator).accountId : acting.accountId,
    keyId: acting?.id,
    operatorId: operator && lastOf(operator).id,
    name: opener?.name ?? "",
  };
}

function operatorScopesOf(operator: OperatorLineage, texts: readonly string[]): readonly OperatorScope[] {
  if (texts.length === 0) return scopesOf<OperatorScope>(operator);
  const parsed = parseOperatorScopes(texts);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  requireScopesWithin(parsed.scopes, operator, OPEN_ERRORS);
  return parsed.scopes;
}

/**
 * Requires that credentials may open a session at this moment: none was revoked or has expired since the call was verified, and an
 * operator credential has authority in an active namespace.
 */
function requireOpener(lineages: SessionLineages, now: number): void {
  if (lineagesOf(lineages).some((lineage) => isRevoked(lineage) || isExpired(lineage, now))) {
    throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "your credential was revoked or has expired");
  }
  const { key, operator } = lineages;
  if (key === undefined || operator === undefined) return;
  requireNamespaceScope(scopesOf(operator));
  requireActiveNamespace(lastOf(key));
}
