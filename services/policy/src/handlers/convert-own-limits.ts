import type { MessageInitShape } from "@bufbuild/protobuf";
import { budgetWindowSecs } from "@routeplane/admission";
import { LimitUnit, type OwnLimitSchema } from "@routeplane/contracts/policy";
import { PROTO_BUDGET_WINDOWS } from "@routeplane/policy-spec/proto";
import { definedFields } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { EffectivePolicyWithUse } from "../domain/effective/read-effective-policy.ts";
import { toProtoSource } from "./convert-effective-policy.ts";
import { toProtoBudgetUse } from "./convert-policy.ts";

type ProtoLimit = MessageInitShape<typeof OwnLimitSchema>;

/** Converts the limits of a key, one for each maximum: in order of binding id, of one binding the budget first. */
export function toProtoOwnLimits({
  budgets,
  rateLimits,
}: Pick<EffectivePolicyWithUse, "budgets" | "rateLimits">): readonly ProtoLimit[] {
  const limits = [
    ...budgets.map((each) => ({ bindingId: each.bindingId, limits: [toProtoBudgetLimit(each)] })),
    ...rateLimits.map((each) => ({ bindingId: each.bindingId, limits: toProtoMaxima(each) })),
  ];
  // The sort is stable: a preset has a budget and a rate limit under one binding.
  return limits.toSorted((a, b) => compare(a.bindingId, b.bindingId)).flatMap((each) => each.limits);
}

function toProtoBudgetLimit({ spec, use, ...source }: EffectivePolicyWithUse["budgets"][number]): ProtoLimit {
  const { spentMicroUsd, reservedMicroUsd, leasedMicroUsd, remainingMicroUsd } = toProtoBudgetUse(spec, use);
  return {
    source: toProtoSource(source),
    unit: LimitUnit.MICRO_USD,
    window: PROTO_BUDGET_WINDOWS[spec.window],
    windowSecs: budgetWindowSecs(spec.window) ?? 0,
    ...definedFields({ timeZone: spec.timeZone }),
    limit: spec.limitMicroUsd,
    used: spentMicroUsd,
    reserved: reservedMicroUsd,
    leased: leasedMicroUsd,
    left: remainingMicroUsd,
    ...(use.freesUpAt && { resetsAt: toTimestamp(use.freesUpAt) }),
  };
}

function toProtoMaxima({ spec, use, ...from }: EffectivePolicyWithUse["rateLimits"][number]): readonly ProtoLimit[] {
  const source = toProtoSource(from);
  const { windowSecs, maxRequests, maxTokens, maxConcurrent } = spec;
  const { concurrent, leasedConcurrent: leased } = use;
  const limits: ProtoLimit[] = [];
  const addWindow = (unit: LimitUnit, limit: bigint | undefined, used: bigint, freesUpAt: Date | undefined): void => {
    if (limit === undefined) return;
    const resetsAt = freesUpAt && { resetsAt: toTimestamp(freesUpAt) };
    limits.push({ source, unit, windowSecs, limit, used, left: restOf(limit, used), ...resetsAt });
  };
  addWindow(LimitUnit.REQUESTS, maxRequests, use.requests, use.requestsFreeUpAt);
  addWindow(LimitUnit.TOKENS, maxTokens, use.tokens, use.tokensFreeUpAt);
  if (maxConcurrent !== undefined) {
    const amounts = { used: concurrent - leased, reserved: leased, leased, left: restOf(maxConcurrent, concurrent) };
    limits.push({ source, unit: LimitUnit.CONCURRENT, limit: maxConcurrent, ...amounts });
  }
  return limits;
}

function restOf(limit: bigint, counted: bigint): bigint {
  return limit > counted ? limit - counted : 0n;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
