import type { AuditEntry } from "@routeplane/contracts/audit";
import { ThingLink } from "./thing-link.tsx";

interface TargetProps {
  readonly entry: AuditEntry;
  readonly nameOf: (id: string) => string | undefined;
}

/** Resource that an entry changed. A binding has no name, so its policy and its principal are shown. */
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
