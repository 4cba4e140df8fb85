/**
 * Locks of policies. A transaction that updates or deletes a policy, binds it or removes a binding locks the policy's row first,
 * so that a policy cannot come to bind a caller while the caller loosens it. No other code reads a policy for an update.
 *
 * Locks are taken in one order, so that no two transactions wait for each other: quotas in order of name (`lockQuotas`), the
 * policy's row, counters in order of binding id; then the row of `changes`, by trigger at the commit.
 */
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import { type Caller, principalsOf, requireMayChange } from "../domain/policies/authority.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

declare const locked: unique symbol;

/** Row of a policy that this transaction has locked. */
export type LockedPolicy = Selectable<PolicySchema["policies"]> & { readonly [locked]: true };

declare const changeable: unique symbol;

/** Locked row of a policy that the caller may change. */
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

/** Locks a policy for a change by the caller. @throws DomainError PERMISSION_DENIED by the rules of `authority.ts` */
export async function lockToChange(
  tx: Tx,
  caller: Caller,
  policyId: Id<"pol">,
  effect: "loosens" | "tightens",
): Promise<ChangeablePolicy | undefined> {
  const policy = await lockPolicy(tx, caller.namespaceId, policyId);
  if (policy === undefined) return undefined;
  // A separate statement, so that it sees bindings that were made while this transaction waited for the lock.
  const bindings = await tx
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
    bindsCaller: bindings.to_caller ?? false,
    boundElsewhere: bindings.elsewhere ?? false,
  };
  requireMayChange(caller, standing, effect);
  return policy as ChangeablePolicy;
}

/** Locks quotas by name, in order of name: until this transaction ends, no other one counts or adds under them. */
export async function lockQuotas(tx: Tx, names: readonly (string | undefined)[]): Promise<void> {
  for (const name of names.filter((known) => known !== undefined).toSorted()) {
    await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(tx);
  }
}
