import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { ServiceCaller } from "@routeplane/credentials";
import { DomainError, type Id } from "@routeplane/domain";

/** Who calls: what the authenticate interceptor found out, and the only thing that handlers know of a credential. */
export type Principal = KeyPrincipal | OperatorPrincipal | ServicePrincipal;

/**
 * Finds the principal of a token.
 *
 * @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE if it cannot be verified now
 */
export type VerifyToken = (token: string) => Promise<Principal>;

/** An internal caller, by its service credential. */
export interface ServicePrincipal {
  readonly kind: "service";
  readonly caller: ServiceCaller;
}

export interface KeyPrincipal {
  readonly kind: "key";
  readonly keyId: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** Effective now: cut down to those of every key above it. */
  readonly scopes: readonly string[];
  /** From the root key down to this key. */
  readonly lineage: readonly Id<"key">[];
  readonly expiresAt: Date | undefined;
  /** End of the grace of the token in use, if a rotation replaced it: until then it only invokes and reads. */
  readonly graceEndsAt?: Date | undefined;
}

export interface OperatorPrincipal {
  readonly kind: "operator";
  readonly operatorId: Id<"op">;
  /** The account that it is limited to; undefined if it acts on every account of the node. */
  readonly accountId: Id<"acc"> | undefined;
  /** Operator scopes, effective now: cut down to those of every operator credential above it. */
  readonly scopes: readonly string[];
  /** From the node's first operator credential down to this one. */
  readonly lineage: readonly Id<"op">[];
  readonly expiresAt: Date | undefined;
  /** End of the grace of the token in use, if a rotation replaced it: until then it only invokes and reads. */
  readonly graceEndsAt?: Date | undefined;
}

/** Undefined on a public method. */
export const principalKey = createContextKey<Principal | undefined>(undefined, {
  description: "who calls, from the authenticate interceptor",
});

export function principalOf(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (principal === undefined) throw new Error(`${context.method.name} is public: it has no principal`);
  return principal;
}

/** The calling key, in a handler whose access rule admits keys only. */
export function keyPrincipalOf(context: HandlerContext): KeyPrincipal {
  const principal = principalOf(context);
  if (principal.kind !== "key") throw new Error(`${context.method.name} was let in for a ${principal.kind}`);
  return principal;
}

/** The calling operator, in a handler whose access rule admits operators only. */
export function operatorPrincipalOf(context: HandlerContext): OperatorPrincipal {
  const principal = principalOf(context);
  if (principal.kind !== "operator") throw new Error(`${context.method.name} was let in for a ${principal.kind}`);
  return principal;
}

/**
 * As `operatorPrincipalOf`, for what is above accounts.
 *
 * @throws DomainError PERMISSION_DENIED for an operator that is limited to one
 */
export function wholeNodeOperatorOf(context: HandlerContext): Id<"op"> {
  const { operatorId, accountId } = operatorPrincipalOf(context);
  if (accountId === undefined) return operatorId;
  const message = "your operator credential is limited to an account, and this is about all of the node";
  throw new DomainError("permission_denied", "ACCOUNT_LIMITED", message);
}
