import { PrincipalType } from "@routeplane/contracts/policy";
import { KeyLink } from "./key-link.tsx";

interface PrincipalLinkProps {
  readonly principalType: PrincipalType;
  readonly principalId: string;
}

/** Principal of a binding: the namespace, or the name of a key, which leads to its page. */
export function PrincipalLink({ principalType, principalId }: PrincipalLinkProps) {
  return principalType === PrincipalType.NAMESPACE ? <>this namespace</> : <KeyLink id={principalId} />;
}
