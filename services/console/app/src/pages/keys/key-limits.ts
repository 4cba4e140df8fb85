import { BindingMode, type Policy, PrincipalType } from "@routeplane/contracts/policy";
import { readSpec } from "../policies/spec.ts";
import { type SpecLine, specLines } from "../policies/spec-lines.ts";

/** Rule of a policy that is bound to a key itself. */
export interface KeyLimit extends SpecLine {
  readonly id: string;
  readonly policyId: string;
  readonly policyName: string;
  /** True if the rule only records what it would refuse. */
  readonly isShadow: boolean;
}

/** Rules on the keys themselves, by the id of the key. */
export interface KeyLimits {
  readonly byKey: ReadonlyMap<string, readonly KeyLimit[]>;
  /** False if a policy has more bindings than the list of policies includes: keys may then have further limits. */
  readonly isWhole: boolean;
}

/**
 * Finds the rules bound to the keys themselves, without rules bound to the keys above or to the namespace. Disabled policies are left out.
 */
export function keyLimitsOf(policies: readonly Policy[]): KeyLimits {
  const enabled = policies.filter(({ disabledAt }) => disabledAt === undefined);
  const limits = enabled.flatMap((policy) => {
    const spec = readSpec(policy.spec);
    const lines = spec === undefined ? [{ rule: policy.name, value: "rules of a newer version" }] : specLines(spec);
    return policy.bindings.flatMap(({ binding }) =>
      binding?.principalType === PrincipalType.API_KEY
        ? lines.map(({ rule, value }) => ({
            id: `${policy.id} ${rule} ${value}`,
            rule,
            value,
            keyId: binding.principalId,
            policyId: policy.id,
            policyName: policy.name,
            isShadow: binding.mode === BindingMode.SHADOW,
          }))
        : [],
    );
  });
  return {
    byKey: Map.groupBy(limits, ({ keyId }) => keyId),
    isWhole: enabled.every(({ bindingCount, bindings }) => bindings.length >= bindingCount),
  };
}
