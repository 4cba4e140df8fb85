import { type Id, StrictJson } from "@routeplane/domain";
import { fromStoredJson, POLICY_KINDS, type PolicyKind, type PolicySpec, toSpecJson } from "@routeplane/policy-spec";

/** Columns of a policy that hold its spec: `kind`, and `spec` as JSON. */
export function toSpecColumns(spec: PolicySpec): { readonly kind: PolicyKind; readonly spec: string } {
  return { kind: spec.kind, spec: JSON.stringify(toSpecJson(spec)) };
}

/** @throws Error naming policy and path if the columns cannot be read in full: a request that needs the policy must be refused */
export function fromSpecColumns(
  policyId: Id<"pol">,
  { kind: name, spec }: { readonly kind: string; readonly spec: unknown },
): PolicySpec {
  const unreadable = (path: string, rule: string): Error =>
    new Error(`the stored policy ${policyId} cannot be read: ${path} ${rule}`);
  const kind = POLICY_KINDS.find((known) => known === name);
  if (kind === undefined) throw unreadable("kind", `must be one of ${POLICY_KINDS.join(", ")}`);
  return fromStoredJson(kind, new StrictJson(spec, "spec", unreadable));
}
