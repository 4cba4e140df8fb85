import { DomainError, type Id } from "@routeplane/domain";

/** The key that asks for a change. */
export interface Caller {
  readonly namespaceId: Id<"ns">;
  /** From its root key down to itself. */
  readonly lineage: readonly Id<"key">[];
}

/** Everything whose bindings bind the caller. */
export function principalsOf({ namespaceId, lineage }: Caller): readonly (Id<"ns"> | Id<"key">)[] {
  return [namespaceId, ...lineage];
}

/**
 * Authority only shrinks downwards: a sub-key loosens nothing that binds itself. A root key may.
 *
 * @param bindsCaller whether the policy is bound to one of the caller's principals, in whatever mode
 * @throws DomainError PERMISSION_DENIED
 */
export function requireMayLoosen({ lineage }: Caller, bindsCaller: boolean): void {
  if (lineage.length === 1 || !bindsCaller) return;
  const message =
    "this policy binds your key, through its namespace or a key of its lineage: only a root key may change it";
  throw new DomainError("permission_denied", "POLICY_BINDS_CALLER", message);
}
