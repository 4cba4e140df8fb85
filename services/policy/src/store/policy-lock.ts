/**
 * The one way to a policy's row that changes it. Whoever updates or deletes a policy or a binding locks the policy's row
 * first, and whoever binds it does too: so a policy cannot come to bind a caller while the caller is loosening it.
 *
 * Locks are taken in this order: of a namespace's or principal's bound (`lockQuotas`), of the policy's row, of counters
 * in order of binding id; what announces a change comes after all of them.
 */
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import { type Caller, principalsOf, requireMayChange } from "../domain/policies/authority.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

declare const held: unique symbol;

/** A policy's row under its lock. */
export type LockedPolicy = Selectable<PolicySchema["policies"]> & { readonly [held]: true };

declare const changeable: unique symbol;

/** One that its caller may change. */
export type ChangeablePolicy = LockedPolicy & { readonly [changeable]: true };

export async function lockPolicy(
  tx: Tx,
  namespaceId: Id<"ns">,
  policyId: Id<"pol">,
): Promise<LockedPolicy | undefined> {
  const row = await tx
    .selectFrom("policies")
    .selectAll()
    .where("namespace_id", "=", namespaceId)
    .where("id", "=", policyId)
    .forUpdate()
    .executeTakeFirst();
  return row as LockedPolicy | undefined;
}

/** @throws DomainError PERMISSION_DENIED if the caller may not change it, see `authority.ts` */
export async function lockToChange(
  tx: Tx,
  caller: Caller,
  policyId: Id<"pol">,
  effect: "loosens" | "tightens",
): Promise<ChangeablePolicy | undefined> {
  const policy = await lockPolicy(tx, caller.namespaceId, policyId);
  if (policy === undefined) return undefined;
  // A statement of its own: it sees the bindings that were made while this transaction waited for the lock.
  const bound = await tx
    .selectFrom("bindings")
    .select([
      sql<boolean | null>`bool_or(principal_id = any(${principalsOf(caller)}))`.as("to_caller"),
      sql<boolean | null>`bool_or(${caller.keyId} <> all(principal_lineage))`.as("elsewhere"),
    ])
    .where("namespace_id", "=", caller.namespaceId)
    .where("policy_id", "=", policyId)
    .executeTakeFirstOrThrow();
  const standing = {
    creatorLineage: policy.creator_lineage,
    bindsCaller: bound.to_caller ?? false,
    boundElsewhere: bound.elsewhere ?? false,
  };
  requireMayChange(caller, standing, effect);
  return policy as ChangeablePolicy;
}

/** Lets no other transaction count or add what has this bound, until this one ends. In order of name. */
export async function lockQuotas(tx: Tx, names: readonly string[]): Promise<void> {
  for (const name of names.toSorted()) {
    await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(tx);
  }
}
