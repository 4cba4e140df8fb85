import type { ServiceImpl } from "@connectrpc/connect";
import type { EnforcementService } from "@routeplane/contracts/policy";
import { requireId } from "@routeplane/domain";
import type { ChangeFeed } from "@routeplane/rpc";
import { guardrailsIn } from "../domain/effective/applied-policy.ts";
import type { AppliedPolicies } from "../domain/ports.ts";
import { toProtoAppliedGuardrail } from "./convert-policy.ts";

export function enforcementService(
  applied: AppliedPolicies,
  changes: ChangeFeed,
): ServiceImpl<typeof EnforcementService> {
  return {
    async listAppliedGuardrails({ namespaceId, lineage }) {
      const keyIds = lineage.map((id) => requireId("key", id));
      const guardrails = guardrailsIn(await applied.of(requireId("ns", namespaceId), keyIds));
      return { guardrails: guardrails.map(toProtoAppliedGuardrail) };
    },

    async *watchPolicyChanges(_, { signal }) {
      for await (const { sequence, subjectId = "" } of changes.watch(signal)) yield { sequence, subjectId };
    },
  };
}
