import { useQuery } from "@connectrpc/connect-query";
import { type Policy, PolicyService } from "@routeplane/contracts/policy";
import { byId } from "./by-id.ts";
import { holdsScope, useSession } from "../session/use-session.ts";

/** Maximum number of policies that are read: one page. Further policies are shown by id. */
const MAX_POLICIES = 1_000;

/** Interval at which an open page reads the use of budgets again. Milliseconds. */
const REFRESH_MS = 60_000;

/**
 * Policies of the namespace with their oldest bindings and the use of budgets, oldest first. Pages share one read, which is repeated while
 * they are open.
 */
export function usePolicies() {
  return useQuery(PolicyService.method.listPolicies, { pageSize: MAX_POLICIES }, { refetchInterval: REFRESH_MS });
}

/**
 * Policies of the namespace by id, read once for all parts of the app; empty without the scope `policy:read`, and for an operator.
 *
 * @param isNeeded false if no policy is named, so that none are read
 */
export function usePoliciesById(isNeeded = true): ReadonlyMap<string, Policy> {
  const session = useSession();
  const enabled = session.kind === "namespace" && holdsScope(session, "policy:read") && isNeeded;
  const request = { pageSize: MAX_POLICIES };
  const { data } = useQuery(PolicyService.method.listPolicies, request, { enabled, staleTime: 60_000 });
  return byId(data?.policies);
}
