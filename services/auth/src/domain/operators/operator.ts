import { ALL_OPERATOR_SCOPES, type OperatorScope, parseOperatorScopes } from "@routeplane/credentials";
import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import {
  type CredentialWords,
  expiryOf,
  lastOf,
  type LineageOf,
  mintErrors,
  requireActive,
  requireExpiryWithin,
  requireFuture,
  requireParent,
  requireScopesWithin,
} from "../grant-rules.ts";
import type { TokenHolder } from "../secret.ts";

/** An operator credential, without its secret. */
export interface Operator {
  readonly id: Id<"op">;
  /** Account that it is limited to; undefined if it acts on every account of the node. */
  readonly accountId: Id<"acc"> | undefined;
  readonly name: string;
  /** Start of the token, by which people recognise it. */
  readonly prefix: string;
  /** Scopes that were granted. The scopes in effect are the intersection over its lineage. */
  readonly scopes: readonly OperatorScope[];
  /** Ids from the node's first operator credential down to this one. */
  readonly lineage: readonly Id<"op">[];
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  /** Reason given at the revocation, verbatim. */
  readonly revokedReason: string | undefined;
}

/** The operator credential that makes a call. */
export interface OperatorCaller extends TokenHolder {
  readonly operatorId: Id<"op">;
  readonly accountId: Id<"acc"> | undefined;
  /** Operator scopes in effect now; for a session, its own. */
  readonly scopes: readonly string[];
}

/**
 * Guards a change of credentials against a revocation of the operator credential behind the caller, or of one above it, that was committed
 * after the call was verified. Root keys and service credentials are below no operator credential, so the revocation would not end them.
 *
 * @param lineage the credentials, read under their locks in the transaction of the change
 * @throws DomainError UNAUTHENTICATED
 */
export function requireUnrevoked(lineage: readonly Pick<Operator, "revokedAt">[]): void {
  if (lineage.every(({ revokedAt }) => revokedAt === undefined)) return;
  const message = "your operator credential, or one above it, was revoked";
  throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", message);
}

/** Properties of an operator credential to mint. */
export interface OperatorRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** An operator credential and all above it, from the node's first one down. */
export type OperatorLineage = LineageOf<Operator>;

const OPERATOR_WORDS: CredentialWords = {
  singular: "operator credential",
  plural: "operator credentials",
  minted: "an operator credential",
};
const MINT_ERRORS = mintErrors(OPERATOR_WORDS);

/** The operator credential that a new node starts with: every scope, no expiry, no limit to an account. */
export function firstOperator(prefix: string, now: number): Operator {
  const request = { name: "bootstrap", scopes: ALL_OPERATOR_SCOPES, expiresAt: undefined };
  return newOperator([], undefined, request, prefix, now);
}

/**
 * A new operator credential below the last one of `parent`. Without an expiry it expires with its parent.
 *
 * @param accountId account to limit it to; ignored if the parent is limited: a sub-credential has the same limit
 * @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function newSubOperator(
  parent: OperatorLineage,
  accountId: Id<"acc"> | undefined,
  request: OperatorRequest,
  prefix: string,
  now: number,
): Operator {
  requireParent(parent, now, OPERATOR_WORDS);
  const above = lastOf(parent);
  const expiresAt = request.expiresAt ?? expiryOf(parent);
  const limit = above.accountId ?? accountId;
  const operator = newOperator(above.lineage, limit, { ...request, expiresAt }, prefix, now);
  requireScopesWithin(operator.scopes, parent, MINT_ERRORS);
  requireExpiryWithin(operator.expiresAt, parent, MINT_ERRORS);
  return operator;
}

/**
 * Requires that the caller has authority over an operator credential: one below it or, for a rotation, itself. No credential revokes
 * itself, so that the node's first one cannot be lost.
 *
 * @throws DomainError PERMISSION_DENIED, and FAILED_PRECONDITION for a caller that would revoke itself
 */
export function requireOperatorAuthority(callerId: Id<"op">, target: Operator, action: "revoke" | "rotate"): void {
  if (!target.lineage.includes(callerId)) {
    const message = `an operator credential ${action}s only ${action === "rotate" ? "itself and " : ""}those below it, and this one is not below yours`;
    throw new DomainError("permission_denied", "OPERATOR_OUT_OF_LINEAGE", message);
  }
  if (action === "revoke" && target.id === callerId) {
    const message =
      "an operator credential does not revoke itself: rotate it with a grace of 0, or have a credential above it revoke it";
    throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
  }
}

/**
 * The last operator credential of `lineage`, with the prefix of its new token.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function rotatedOperator(lineage: OperatorLineage, prefix: string, now: number): Operator {
  requireActive(lineage, now, OPERATOR_WORDS);
  return { ...lastOf(lineage), prefix };
}

/** The last one of `lineage`, revoked; the same object if it is revoked already, with any reason. */
export function revokedOperator(lineage: OperatorLineage, reason: string | undefined, now: number): Operator {
  const operator = lastOf(lineage);
  if (operator.revokedAt !== undefined) return operator;
  return { ...operator, revokedAt: new Date(now), revokedReason: reason };
}

function newOperator(
  above: readonly Id<"op">[],
  accountId: Id<"acc"> | undefined,
  { name, scopes, expiresAt }: OperatorRequest,
  prefix: string,
  now: number,
): Operator {
  const parsed = parseOperatorScopes(scopes);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  if (expiresAt !== undefined) requireFuture(expiresAt, now);
  const id = newId("op");
  return {
    id,
    accountId,
    name,
    prefix,
    scopes: parsed.scopes,
    lineage: [...above, id],
    createdAt: new Date(now),
    expiresAt,
    revokedAt: undefined,
    revokedReason: undefined,
  };
}
