import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { ServiceCaller } from "@routeplane/credentials";
import { DomainError, type Id } from "@routeplane/domain";

/** Authenticated caller: everything that handlers know of a credential. */
export type Principal = VerifiedPrincipal | InternalPrincipal;

/** Principal of a token that the auth service verifies. */
export type VerifiedPrincipal = KeyPrincipal | OperatorPrincipal | ServicePrincipal;

/**
 * Finds the principal of a token.
 *
 * @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE if it cannot be verified now
 */
export type VerifyToken = (token: string) => Promise<VerifiedPrincipal>;

/** Internal caller, identified by its internal credential. */
export interface InternalPrincipal {
  readonly kind: "internal";
  readonly caller: ServiceCaller;
}

export interface KeyPrincipal {
  readonly kind: "key";
  readonly keyId: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** Scopes in effect now: those of the key that every key above it has too. */
  readonly scopes: readonly string[];
  /** Ids of the key and its ancestors, from the root key down. */
  readonly lineage: readonly Id<"key">[];
  readonly expiresAt: Date | undefined;
  /** End of the grace of a token that a rotation replaced: until then it may only invoke and read. Otherwise undefined. */
  readonly graceEndsAt?: Date | undefined;
  /** Session that acts as the key, within its scopes and expiry; undefined for a token of the key. */
  readonly sessionId?: Id<"ses"> | undefined;
  /**
   * Ids of the operator credential that opened the session and of its ancestors, with each of which the session ends; undefined or
   * empty if a key opened it.
   */
  readonly operatorLineage?: readonly Id<"op">[] | undefined;
}

export interface OperatorPrincipal {
  readonly kind: "operator";
  readonly operatorId: Id<"op">;
  /** Account that the operator is limited to; undefined if it acts on every account of the node. */
  readonly accountId: Id<"acc"> | undefined;
  /** Operator scopes in effect now: those that every operator credential above it has too. */
  readonly scopes: readonly string[];
  /** Ids of the operator credential and its ancestors, from the node's first one down. */
  readonly lineage: readonly Id<"op">[];
  readonly expiresAt: Date | undefined;
  /** End of the grace of a token that a rotation replaced: until then it may only invoke and read. Otherwise undefined. */
  readonly graceEndsAt?: Date | undefined;
  /** Session that acts as the credential, within its scopes and expiry; undefined for a token of the credential. */
  readonly sessionId?: Id<"ses"> | undefined;
}

/** Service of the operator's own, identified by a service credential. */
export interface ServicePrincipal {
  readonly kind: "service";
  readonly serviceCredentialId: Id<"svc">;
  /** Namespaces that it is bound to; undefined if it is bound to all of the node. */
  readonly namespaceIds: readonly Id<"ns">[] | undefined;
  /** `keys:verify`, `policy:admit`. */
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** True if a service credential is bound to the namespace, or to all of the node. */
export function reachesNamespace({ namespaceIds }: ServicePrincipal, namespaceId: string): boolean {
  return namespaceIds === undefined || namespaceIds.some((id) => id === namespaceId);
}

/** Context value of the caller; undefined on a public method. */
export const principalKey = createContextKey<Principal | undefined>(undefined, {
  description: "authenticated caller",
});

export function principalOf(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (principal === undefined) throw new Error(`${context.method.name} is public: it has no principal`);
  return principal;
}

/** Key that calls, in a handler whose access rules admit keys only. */
export function keyPrincipalOf(context: HandlerContext): KeyPrincipal {
  const principal = principalOf(context);
  if (principal.kind !== "key") throw new Error(`${context.method.name} was called by a ${principal.kind}`);
  return principal;
}

/** Operator that calls, in a handler whose access rules admit operators only. */
export function operatorPrincipalOf(context: HandlerContext): OperatorPrincipal {
  const principal = principalOf(context);
  if (principal.kind !== "operator") throw new Error(`${context.method.name} was called by a ${principal.kind}`);
  return principal;
}

/** Key or operator that calls, in a handler whose access rules admit no others. */
export function credentialPrincipalOf(context: HandlerContext): KeyPrincipal | OperatorPrincipal {
  const principal = principalOf(context);
  if (principal.kind === "key" || principal.kind === "operator") return principal;
  throw new Error(`${context.method.name} was called by a ${principal.kind}`);
}

/**
 * Operator that calls, in a handler that acts on all accounts of the node.
 *
 * @throws DomainError PERMISSION_DENIED for an operator that is limited to an account
 */
export function wholeNodeOperatorOf(context: HandlerContext): Id<"op"> {
  const { operatorId, accountId } = operatorPrincipalOf(context);
  if (accountId === undefined) return operatorId;
  const message = "your operator credential is limited to an account, and this is about all of the node";
  throw new DomainError("permission_denied", "ACCOUNT_LIMITED", message);
}
