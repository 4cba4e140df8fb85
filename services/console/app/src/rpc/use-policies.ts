import { useQuery } from "@connectrpc/connect-query";
import { PolicyService } from "@routeplane/contracts/policy";

/** Maximum number of policies of a namespace: one page holds all. */
const MAX_POLICIES = 1_000;

/** Policies of the namespace with their oldest bindings and the use of budgets, oldest first. Pages share one read. */
export function usePolicies() {
  return useQuery(PolicyService.method.listPolicies, { pageSize: MAX_POLICIES });
}
