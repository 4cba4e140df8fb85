import { type Clock, DomainError, type Id, invalidField, newId, notFound } from "@routeplane/domain";
import type { PolicySpec } from "@routeplane/policy-spec";
import { type Caller, requireMayBind } from "./authority.ts";
import {
  type Binding,
  type BindingMode,
  type BoundPolicy,
  type BoundPrincipal,
  newPolicy,
  type Policy,
  type PolicyUpdate,
  requireEtag,
  updatedPolicy,
} from "./policy.ts";
import type { BindingStore, KeyDirectory, KnownKey, Page, PageRequest, PolicyStore } from "../ports.ts";
import { type GuardrailInRequest, type RequireValidSpec } from "./spec-rules.ts";

/**
 * Changes of policies and bindings within the caller's namespace. Policies, bindings and keys of another namespace are NOT_FOUND.
 * A sub-key is held to the rules of `authority.ts` (PERMISSION_DENIED).
 */
export interface Management {
  /** Creates a policy and its bindings, all or nothing. @throws DomainError INVALID_ARGUMENT, ALREADY_EXISTS, RESOURCE_EXHAUSTED */
  create(
    caller: Caller,
    draft: PolicyDraft,
  ): Promise<{ readonly policy: Policy; readonly bindings: readonly Binding[] }>;
  /** @throws DomainError ABORTED, INVALID_ARGUMENT, ALREADY_EXISTS */
  update(caller: Caller, policyId: Id<"pol">, update: PolicyUpdate): Promise<Policy>;
  /** Idempotent. */
  enable(caller: Caller, policyId: Id<"pol">): Promise<Policy>;
  /** Idempotent. */
  disable(caller: Caller, policyId: Id<"pol">): Promise<Policy>;
  /** Removes a policy and returns its bindings. @throws DomainError FAILED_PRECONDITION if there are any and `unbind` is false */
  remove(caller: Caller, policyId: Id<"pol">, unbind: boolean): Promise<readonly Binding[]>;
  /**
   * Idempotent. @throws DomainError FAILED_PRECONDITION for a revoked key, ALREADY_EXISTS for the other mode,
   * ABORTED, RESOURCE_EXHAUSTED
   */
  bind(caller: Caller, policyId: Id<"pol">, draft: BindingDraft): Promise<BoundPolicy>;
  unbind(caller: Caller, policyId: Id<"pol">, bindingId: Id<"bnd">): Promise<Binding>;
  /** Removes several bindings, all or nothing. @throws DomainError NOT_FOUND for a binding that does not exist */
  unbindAll(caller: Caller, policyId: Id<"pol">, chosen: ChosenBindings): Promise<readonly Binding[]>;
  bindingsOf(caller: Caller, policyId: Id<"pol">, page: PageRequest<"bnd">): Promise<Page<Binding>>;
  /** Policies bound to the principal itself. */
  policiesOf(caller: Caller, principal: BoundPrincipal, page: PageRequest<"bnd">): Promise<Page<BoundPolicy>>;
}

/** Choice of bindings of a policy: by ids, by principal, or all. */
export type ChosenBindings =
  | { readonly ids: readonly Id<"bnd">[] }
  | { readonly principal: BoundPrincipal }
  | { readonly all: true };

export interface PolicyDraft {
  readonly name: string;
  readonly spec: PolicySpec;
  /** Guardrail of the spec, to be validated. */
  readonly guardrail: GuardrailInRequest | undefined;
  readonly bindTo?: readonly BoundPrincipal[];
}

export interface BindingDraft {
  readonly principal: BoundPrincipal;
  readonly mode: BindingMode;
  /** Etag of the policy as the caller has read it. */
  readonly etag?: string;
}

export interface ManagementDependencies {
  readonly policies: PolicyStore;
  readonly bindings: BindingStore;
  readonly keys: KeyDirectory;
  readonly requireValidSpec: RequireValidSpec;
  readonly clock: Clock;
}

export function createManagement({
  policies,
  bindings,
  keys,
  requireValidSpec,
  clock,
}: ManagementDependencies): Management {
  const now = (): Date => new Date(clock());
  return {
    async create(caller, { name, spec, guardrail, bindTo = [] }) {
      const instructions = await requireValidSpec(caller.namespaceId, guardrail);
      const policy = newPolicy(caller, { name, spec }, instructions, now());
      const repeated = bindTo.findIndex(
        ({ id }, index) => bindTo.findIndex((principal) => principal.id === id) < index,
      );
      if (repeated >= 0) throw invalidField(`bind_to[${repeated}]`, "repeats an earlier principal");
      const newBindings: Binding[] = [];
      for (const principal of bindTo) {
        const key = await findPrincipal(keys, caller.namespaceId, principal);
        requireMayBind(caller, principal, key.lineage);
        requireActive(key);
        newBindings.push(newBinding(caller, policy.id, { principal, mode: "enforce" }, key, now()));
      }
      await policies.add(policy, newBindings);
      return { policy, bindings: newBindings };
    },

    async update(caller, id, update) {
      const instructions = await requireValidSpec(caller.namespaceId, update.guardrail);
      return requireFound(await policies.update(caller, id, (policy) => updatedPolicy(policy, update, instructions)));
    },

    enable: async (caller, id) => requireFound(await policies.enable(caller, id)),
    disable: async (caller, id) => requireFound(await policies.disable(caller, id, now())),

    remove: async (caller, id, unbind) =>
      requireFound(
        await policies.remove(caller, id, (bound) => {
          if (bound.length > 0 && !unbind) throw stillBound(bound.length);
        }),
      ),

    async bind(caller, id, draft) {
      const { principal, mode, etag } = draft;
      const key = await findPrincipal(keys, caller.namespaceId, principal);
      const drafted = newBinding(caller, id, draft, key, now());
      const { policy, binding } = requireFound(
        await bindings.add(drafted, (policy) => {
          requireMayBind(caller, principal, key.lineage);
          requireActive(key);
          requireEtag(policy, etag);
        }),
      );
      if (binding.mode === mode) return { policy, binding };
      const message = `the policy is bound there in mode ${binding.mode}: unbind it first`;
      throw new DomainError("already_exists", "BINDING_EXISTS", message, { metadata: { binding_id: binding.id } });
    },

    unbind: async (caller, id, bindingId) => requireFound(await bindings.remove(caller, id, bindingId)),
    unbindAll: async (caller, id, chosen) =>
      requireFound(await bindings.removeMany(caller, id, (bound) => chooseBindings(bound, chosen))),
    bindingsOf: async ({ namespaceId }, id, page) => requireFound(await bindings.ofPolicy(namespaceId, id, page)),

    async policiesOf({ namespaceId }, principal, page) {
      await findPrincipal(keys, namespaceId, principal);
      return bindings.ofPrincipal(principal, namespaceId, page);
    },
  };
}

/** @throws DomainError NOT_FOUND, the same for an unknown resource and for one of another namespace */
function requireFound<T>(found: T | undefined): T {
  if (found === undefined) throw notFound();
  return found;
}

/** @throws DomainError NOT_FOUND for an id or a principal that none of the bindings has */
function chooseBindings(bound: readonly Binding[], chosen: ChosenBindings): readonly Binding[] {
  if ("ids" in chosen) return chosen.ids.map((id) => requireFound(bound.find((binding) => binding.id === id)));
  if ("all" in chosen) return bound;
  return [requireFound(bound.find(({ principal }) => principal.id === chosen.principal.id))];
}

function newBinding(
  { namespaceId, lineage: creatorLineage }: Caller,
  policyId: Id<"pol">,
  { principal, mode }: BindingDraft,
  { lineage: principalLineage }: KnownKey,
  createdAt: Date,
): Binding {
  return {
    id: newId("bnd"),
    namespaceId,
    policyId,
    principal,
    mode,
    createdAt,
    creatorLineage,
    principalLineage,
  };
}

async function findPrincipal(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal): Promise<KnownKey> {
  if (principal.type === "api_key") return requireFound(await keys.find(namespaceId, principal.id));
  return requireFound(principal.id === namespaceId ? { revoked: false, lineage: [] } : undefined);
}

function requireActive({ revoked }: KnownKey): void {
  if (!revoked) return;
  const message = "the key, or a key above it, is revoked: no policy can be bound to it";
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

function stillBound(count: number): DomainError {
  const message = `the policy has ${count === 1 ? "a binding" : `${count} bindings`}: unbind it first, or set unbind to remove its bindings`;
  return new DomainError("failed_precondition", "POLICY_BOUND", message, { metadata: { bindings: String(count) } });
}
