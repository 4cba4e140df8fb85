import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppliedLimitSchema } from "@routeplane/contracts/policy";
import { PROTO_BINDING_MODES, toProtoBudget, toProtoRateLimit } from "@routeplane/policy-spec/proto";
import { toBudgetLimit } from "../domain/admission/applied-limits.ts";
import type { Applied, LimitSpecs } from "../domain/effective/applied-policy.ts";
import { isBudgetCentral, isRateLimitCentral } from "../domain/sessions/central-limits.ts";

export function toProtoAppliedLimit({
  bindingId,
  mode,
  spec: { budget, rateLimit },
}: Applied<LimitSpecs>): MessageInitShape<typeof AppliedLimitSchema> {
  return {
    bindingId,
    mode: PROTO_BINDING_MODES[mode],
    ...(budget && { budget: toProtoBudget(budget), budgetIsCentral: isBudgetCentral(toBudgetLimit(budget)) }),
    ...(rateLimit && { rateLimit: toProtoRateLimit(rateLimit), rateLimitIsCentral: isRateLimitCentral(rateLimit) }),
  };
}
