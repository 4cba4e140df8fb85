import type { AuditEntry } from "@routeplane/contracts/audit";
import { ThingLink } from "./thing-link.tsx";

interface TargetProps {
  readonly entry: AuditEntry;
  readonly nameOf: (id: string) => string | undefined;
}

/** Thing that an entry changed: of a binding, which has no name, the policy and the principal that it is on. */
export function Target({ entry, nameOf }: TargetProps) {
  const { targetId, before, after } = entry;
  const { policy_id: policyId, principal_id: principalId } = after ?? before ?? {};
  const isBinding = targetId.startsWith("bnd_") && typeof policyId === "string" && typeof principalId === "string";
  if (!isBinding) return <ThingLink id={targetId} name={nameOf(targetId)} />;
  return (
    <>
      <ThingLink id={policyId} name={nameOf(policyId)} /> on <ThingLink id={principalId} name={nameOf(principalId)} />
    </>
  );
}
