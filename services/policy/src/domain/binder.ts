import { type Clock, DomainError, type Id, newId, notFound } from "@routeplane/domain";
import type { Binding, BindingMode, BoundPrincipal } from "./policy.ts";
import type { KeyDirectory, PolicyStore } from "./ports.ts";

/**
 * Binds a policy to a principal, both of this namespace. Idempotent.
 *
 * @throws DomainError NOT_FOUND for the policy or the principal, the same for both; FAILED_PRECONDITION for a revoked key;
 * ALREADY_EXISTS if it is bound there in the other mode
 */
export type Bind = (
  namespaceId: Id<"ns">,
  policyId: Id<"pol">,
  principal: BoundPrincipal,
  mode: BindingMode,
) => Promise<Binding>;

export function createBind(policies: PolicyStore, keys: KeyDirectory, clock: Clock): Bind {
  return async (namespaceId, policyId, principal, mode) => {
    await requirePrincipal(keys, namespaceId, principal);
    const createdAt = new Date(clock());
    const binding = await policies.bind({ id: newId("bnd"), namespaceId, policyId, principal, mode, createdAt });
    if (binding === undefined) throw notFound();
    if (binding.mode === mode) return binding;
    const message = `the policy is bound there in mode ${binding.mode}: unbind it first`;
    throw new DomainError("already_exists", "BINDING_EXISTS", message, { metadata: { binding_id: binding.id } });
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
