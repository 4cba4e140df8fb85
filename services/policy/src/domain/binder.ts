import { type Clock, DomainError, type Id, newId, notFound } from "@routeplane/domain";
import type { Binding, BoundPrincipal } from "./policy.ts";
import type { KeyDirectory, PolicyStore } from "./ports.ts";

/**
 * Binds a policy to a principal, both of this namespace. Idempotent.
 *
 * @throws DomainError NOT_FOUND for the policy or the principal, the same for both; FAILED_PRECONDITION for a revoked key
 */
export type Bind = (namespaceId: Id<"ns">, policyId: Id<"pol">, principal: BoundPrincipal) => Promise<Binding>;

export function createBind(policies: PolicyStore, keys: KeyDirectory, clock: Clock): Bind {
  return async (namespaceId, policyId, principal) => {
    await requirePrincipal(keys, namespaceId, principal);
    const createdAt = new Date(clock());
    const binding = await policies.bind({ id: newId("bnd"), namespaceId, policyId, principal, createdAt });
    if (binding === undefined) throw notFound();
    return binding;
  };
}

async function requirePrincipal(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal): Promise<void> {
  if (principal.type === "namespace") {
    if (principal.id !== namespaceId) throw notFound();
    return;
  }
  const key = await keys.find(namespaceId, principal.id);
  if (key === undefined) throw notFound();
  if (key.revoked) {
    const message = "the key is revoked, or a key above it is: there is nothing left to bind a policy to";
    throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
  }
}
