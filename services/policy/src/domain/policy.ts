import type { BudgetWindow } from "@routeplane/admission";
import { type Id, newId } from "@routeplane/domain";

export type PolicyKind = "budget";

/** Settled and reserved together never exceed the limit within the window. */
export interface BudgetSpec {
  readonly kind: "budget";
  readonly window: BudgetWindow;
  /** > 0. */
  readonly limitMicroUsd: bigint;
}

/** What a policy says; one arm for each kind. */
export type PolicySpec = BudgetSpec;

export interface Policy {
  readonly id: Id<"pol">;
  readonly namespaceId: Id<"ns">;
  readonly name: string;
  readonly spec: PolicySpec;
  readonly createdAt: Date;
  /** Since when it is switched off. */
  readonly disabledAt: Date | undefined;
}

/** What a policy is bound to: a namespace means every key in it, a key means itself and every key below it. */
export type BoundPrincipal =
  | { readonly type: "namespace"; readonly id: Id<"ns"> }
  | { readonly type: "api_key"; readonly id: Id<"key"> };

export interface Binding {
  readonly id: Id<"bnd">;
  readonly namespaceId: Id<"ns">;
  readonly policyId: Id<"pol">;
  readonly principal: BoundPrincipal;
  readonly createdAt: Date;
}

export function newPolicy(namespaceId: Id<"ns">, name: string, spec: PolicySpec, now: number): Policy {
  return { id: newId("pol"), namespaceId, name, spec, createdAt: new Date(now), disabledAt: undefined };
}
