/** Lists of policies and bindings: the form of their rows, and where a page of them ends. */
import { BindingSchema, BoundPolicySchema, PolicySchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import type { PagedList } from "@routeplane/rpc";
import type { DescribedPolicy } from "../domain/policies/described-policy.ts";
import type { Binding } from "../domain/policies/policy.ts";
import { toProtoBinding, toProtoPolicy } from "./convert-policy.ts";

export const POLICY_LIST: PagedList<DescribedPolicy, typeof PolicySchema> = {
  list: "policies",
  schema: PolicySchema,
  toProto: toProtoPolicy,
  positionOf: ({ policy }) => policy.id,
};

export const BINDING_LIST: PagedList<Binding, typeof BindingSchema> = {
  list: "bindings",
  schema: BindingSchema,
  toProto: toProtoBinding,
  positionOf: ({ id }) => id,
};

/** Binding of a principal, with its policy; undefined if that was deleted meanwhile. */
interface BoundRow {
  readonly binding: Binding;
  readonly policy: DescribedPolicy | undefined;
}

export const BOUND_POLICY_LIST: PagedList<BoundRow, typeof BoundPolicySchema> = {
  list: BINDING_LIST.list,
  schema: BoundPolicySchema,
  toProto: ({ binding, policy }) => ({
    binding: toProtoBinding(binding),
    ...definedFields({ policy: policy && toProtoPolicy(policy) }),
  }),
  positionOf: ({ binding }) => binding.id,
};
