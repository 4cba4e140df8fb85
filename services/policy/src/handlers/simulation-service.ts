import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  PrincipalType,
  type SimulatedKeySchema,
  type SimulatePolicyRequest,
  type SimulatePolicyResponseSchema,
  type SimulationService,
} from "@routeplane/contracts/policy";
import { type Id, invalidField, nanoToMicro, requireId } from "@routeplane/domain";
import { keyPrincipalOf, toTimestamp } from "@routeplane/rpc";
import type { BoundPrincipal } from "../domain/policies/policy.ts";
import type { SimulationTotals } from "../domain/simulation/simulation.ts";
import type { SimulationResult, SimulatePolicy, SimulationRequest } from "../domain/simulation/simulate-policy.ts";
import { fromProtoPrincipal } from "./convert-policy.ts";
import { guardrailInRequest, requireProtoSpec } from "./convert-spec.ts";

const DEFAULT_DAYS = 7;
/** Maximum number of keys in a response. */
const MAX_KEYS = 1_000;

export function simulationService(simulate: SimulatePolicy): ServiceImpl<typeof SimulationService> {
  return {
    async simulatePolicy(request, context) {
      const caller = keyPrincipalOf(context);
      const simulation = fromProtoSimulationRequest(request, caller.namespaceId);
      return toProtoSimulation(await simulate(caller, simulation, context.signal));
    },
  };
}

function fromProtoSimulationRequest(request: SimulatePolicyRequest, namespaceId: Id<"ns">): SimulationRequest {
  const days = request.days || DEFAULT_DAYS;
  return {
    subject: fromProtoSubject(request.subject),
    principal: fromProtoSimulationPrincipal(request, namespaceId),
    days,
  };
}

function fromProtoSubject(subject: SimulatePolicyRequest["subject"]): SimulationRequest["subject"] {
  if (subject.case === "policyId") return { policyId: requireId("pol", subject.value) };
  const spec = requireProtoSpec(subject.value);
  return { spec, guardrail: guardrailInRequest(spec) };
}

/** Principal of the simulation; the caller's namespace if the request names none. */
function fromProtoSimulationPrincipal(request: SimulatePolicyRequest, namespaceId: Id<"ns">): BoundPrincipal {
  if (request.principalType !== PrincipalType.UNSPECIFIED) return fromProtoPrincipal(request);
  if (request.principalId !== "") throw invalidField("principal_type", "must be set along with principal_id");
  return { type: "namespace", id: namespaceId };
}

function toProtoSimulation(result: SimulationResult): MessageInitShape<typeof SimulatePolicyResponseSchema> {
  const byKey = [...result.byKey].toSorted(([, a], [, b]) => b.denied - a.denied).slice(0, MAX_KEYS);
  const byRule = [...result.byRule].toSorted(([, a], [, b]) => b - a);
  return {
    from: toTimestamp(result.from),
    to: toTimestamp(result.to),
    truncated: result.truncated,
    requestCount: BigInt(result.requests),
    spendMicroUsd: nanoToMicro(result.spendNano),
    refusedCount: BigInt(result.denied),
    refusedSpendMicroUsd: nanoToMicro(result.deniedSpendNano),
    byKey: byKey.map(([keyId, totals]) => toProtoSimulatedKey(keyId, totals)),
    byRule: byRule.map(([rule, refused]) => ({ rule, refusedCount: BigInt(refused) })),
    notSimulated: [...result.notSimulated],
  };
}

function toProtoSimulatedKey(
  keyId: string,
  totals: Readonly<SimulationTotals>,
): MessageInitShape<typeof SimulatedKeySchema> {
  return {
    keyId,
    requestCount: BigInt(totals.requests),
    refusedCount: BigInt(totals.denied),
    refusedSpendMicroUsd: nanoToMicro(totals.deniedSpendNano),
  };
}
