import { ALL_OPERATOR_SCOPES, type OperatorScope, parseOperatorScopes } from "@routeplane/credentials";
import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import {
  type CredentialWords,
  expiryOf,
  lastOf,
  type LineageOf,
  requireFuture,
  requireActive,
  requireParent,
  requireWithin,
} from "../grant-rules.ts";

/** An operator credential, without its secret. */
export interface Operator {
  readonly id: Id<"op">;
  /** The account that it is limited to; undefined if it acts on every account of the node. */
  readonly accountId: Id<"acc"> | undefined;
  readonly name: string;
  /** Start of the token, for people to recognise it by. */
  readonly prefix: string;
  /** As granted; what it may do now is the intersection over its lineage. */
  readonly scopes: readonly OperatorScope[];
  /** From the node's first one down to this one. */
  readonly lineage: readonly Id<"op">[];
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  /** In the words of whoever revoked it, if they gave any. */
  readonly revokedReason: string | undefined;
}

/** What a caller asks of a new operator credential. */
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
  sub: "an operator credential",
};

/** The one that the installer sets a node up with. */
export function firstOperator(prefix: string, now: number): Operator {
  const request = { name: "bootstrap", scopes: ALL_OPERATOR_SCOPES, expiresAt: undefined };
  return newOperator([], undefined, request, prefix, now);
}

/**
 * A new operator credential below the last one of `parent`.
 *
 * @param accountId which it is to be limited to; one below a limited one is limited to the same, whatever this says
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
  requireWithin(operator, parent, OPERATOR_WORDS);
  return operator;
}

/**
 * An operator credential has a say over those below it, and rotates itself. Nothing hands out more than the caller holds, and
 * no caller ends itself: so the node's first one cannot be lost.
 *
 * @throws DomainError PERMISSION_DENIED, and FAILED_PRECONDITION for a caller that would revoke itself
 */
export function requireOperatorAuthority(callerId: Id<"op">, target: Operator, act: "revoke" | "rotate"): void {
  if (!target.lineage.includes(callerId)) {
    const message = `an operator credential ${act}s only ${act === "rotate" ? "itself and " : ""}those below it, and this one is not below yours`;
    throw new DomainError("permission_denied", "OPERATOR_OUT_OF_LINEAGE", message);
  }
  if (act === "revoke" && target.id === callerId) {
    const message = "an operator credential does not revoke itself: rotate it with a grace of 0, or ask who minted it";
    throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
  }
}

/**
 * The last one of `lineage`, under a new token.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function rotatedOperator(lineage: OperatorLineage, prefix: string, now: number): Operator {
  requireActive(lineage, now, OPERATOR_WORDS);
  return { ...lastOf(lineage), prefix };
}

/** The last one of `lineage`, revoked. One that is already stays the very same, whatever the reason. */
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
