/** Rules on which keys may bind and change which policies. Root keys may do anything within their namespace. */
import { DomainError, type Id } from "@routeplane/domain";
import type { Binding, BoundPrincipal } from "./policy.ts";

/** Key that requests a change. */
export interface Caller {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** Key ids from the root key down to the key itself. */
  readonly lineage: readonly Id<"key">[];
}

/** Position of a policy relative to a caller. */
export interface PolicyStanding {
  /** Lineage of the key that created it; empty if that is not recorded. */
  readonly creatorLineage: readonly Id<"key">[];
  /** True if the policy is bound, in any mode, to the caller's namespace or to a key of the caller's lineage. */
  readonly bindsCaller: boolean;
  /** True if the policy is bound to anything but the caller and keys below it. */
  readonly boundElsewhere: boolean;
}

/** Ids of the principals whose bindings apply to the caller. */
export function principalsOf({ namespaceId, lineage }: Caller): readonly (Id<"ns"> | Id<"key">)[] {
  return [namespaceId, ...lineage];
}

/**
 * Refuses a sub-key that would bind a policy to anything but itself or a key below it.
 *
 * @param principalLineage key ids from the root key down to the principal; empty for a namespace
 * @throws DomainError PERMISSION_DENIED
 */
export function requireMayBind(
  caller: Caller,
  principal: BoundPrincipal,
  principalLineage: readonly Id<"key">[],
): void {
  if (isRootKey(caller) || principalLineage.includes(caller.keyId)) return;
  const name = principal.type === "namespace" ? "the namespace" : principal.id;
  const message = `a sub-key binds policies only to itself and to keys below it: ${name} is neither; ask a root key`;
  throw new DomainError("permission_denied", "PRINCIPAL_OUT_OF_LINEAGE", message);
}

/**
 * Refuses a sub-key that would change a policy which it does not own: one that neither it nor a key below it created, or that is bound to
 * anything but the sub-key and keys below it. A change that loosens a policy is refused too if the policy binds the caller.
 *
 * @param effect `loosens` if the change can remove something that the policy enforces
 * @throws DomainError PERMISSION_DENIED
 */
export function requireMayChange(caller: Caller, standing: PolicyStanding, effect: "loosens" | "tightens"): void {
  if (isRootKey(caller)) return;
  if (effect === "loosens" && standing.bindsCaller) {
    const message =
      "this policy binds your key, through its namespace or a key of its lineage: only a root key may change it";
    throw new DomainError("permission_denied", "POLICY_BINDS_CALLER", message);
  }
  if (!standing.creatorLineage.includes(caller.keyId)) {
    throw outOfLineage("neither your key nor a key below it created this policy");
  }
  if (standing.boundElsewhere)
    throw outOfLineage("this policy is also bound outside of your key and the keys below it");
}

/**
 * True if an enforcing binding replaces the existing shadow binding of the same policy and principal: its creator is a root key, or a key
 * above the creator of the existing one. Otherwise a sub-key could keep a policy from being enforced on it by binding it to itself in
 * shadow mode first.
 */
export function replacesShadow(binding: Binding, existing: Binding): boolean {
  if (binding.mode !== "enforce" || existing.mode !== "shadow") return false;
  const above = existing.creatorLineage.slice(0, -1);
  const isByRootKey = isRootKey({ lineage: binding.creatorLineage });
  return (isByRootKey && above.length > 0) || above.some((id) => id === binding.creatorLineage.at(-1));
}

function isRootKey({ lineage }: Pick<Caller, "lineage">): boolean {
  return lineage.length === 1;
}

function outOfLineage(why: string): DomainError {
  return new DomainError("permission_denied", "POLICY_OUT_OF_LINEAGE", `${why}: ask a root key to change it`);
}
