import type { ServiceImpl } from "@connectrpc/connect";
import type { EnforcementService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import type { ChangeFeed } from "@routeplane/rpc";
import { guardrailsIn, limitsIn } from "../domain/effective/applied-policy.ts";
import type { AppliedPolicies } from "../domain/ports.ts";
import { toProtoAppliedLimit } from "./convert-limits.ts";
import { toProtoAppliedGuardrail } from "./convert-policy.ts";

export function enforcementService(
  applied: AppliedPolicies,
  changes: ChangeFeed,
): ServiceImpl<typeof EnforcementService> {
  return {
    async listAppliedGuardrails({ namespaceId, lineage }) {
      const keyIds = lineage.map((id) => requireId("key", id));
      const policies = await applied.of(requireId("ns", namespaceId), keyIds);
      return {
        guardrails: guardrailsIn(policies).map(toProtoAppliedGuardrail),
        limits: { limits: limitsIn(policies).map(toProtoAppliedLimit) },
      };
    },

    async *watchPolicyChanges(_, { signal }) {
      for await (const { sequence, subjectId = "", recalledBindingIds = [] } of changes.watch(signal))
        yield { sequence, subjectId, recalledBindingIds: [...recalledBindingIds] };
    },
  };
}
