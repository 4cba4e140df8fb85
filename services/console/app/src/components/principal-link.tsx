import { PrincipalType } from "@routeplane/contracts/policy";
import { KeyLink } from "./key-link.tsx";

interface PrincipalLinkProps {
  readonly principalType: PrincipalType;
  readonly principalId: string;
}

/** Principal of a binding: the namespace, or a link to the page of a key. */
export function PrincipalLink({ principalType, principalId }: PrincipalLinkProps) {
  return principalType === PrincipalType.NAMESPACE ? <>this namespace</> : <KeyLink id={principalId} />;
}
