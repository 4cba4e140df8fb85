import type { ServiceImpl } from "@connectrpc/connect";
import type { EnforcementService } from "@routeplane/contracts/policy";
import type { ChangeFeed } from "@routeplane/rpc";

export function enforcementService(changes: ChangeFeed): ServiceImpl<typeof EnforcementService> {
  return {
    async *watchPolicyChanges(_, { signal }) {
      for await (const { sequence, subjectId = "" } of changes.watch(signal)) yield { sequence, subjectId };
    },
  };
}
