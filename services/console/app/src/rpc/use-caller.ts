import { useQuery } from "@connectrpc/connect-query";
import { IdentityService, type KeyIdentity } from "@routeplane/contracts/auth";

/** Key that the session acts as; undefined until it is read, and for an operator's session without a namespace. */
export function useCaller(): KeyIdentity | undefined {
  const { data } = useQuery(IdentityService.method.whoAmI, {}, { staleTime: 60_000 });
  return data?.identity.case === "key" ? data.identity.value : undefined;
}
