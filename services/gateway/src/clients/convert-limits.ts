import {
  type AppliedLimit as ProtoLimit,
  type AppliedLimits as ProtoLimits,
  BindingMode,
} from "@routeplane/contracts/policy";
import { MAX_COUNTERS, type SliceDimension } from "../domain/ports/gateway-sessions.ts";
import type { AppliedLimit, AppliedLimits } from "../domain/ports/limit-directory.ts";

/** Compiles an answer of the policy service, once, to one counter for each limit. */
export function fromProtoAppliedLimits({ limits: all }: ProtoLimits): AppliedLimits {
  const limits = all.flatMap(toCounters);
  const isCentral = limits.length > MAX_COUNTERS || all.some(isLimitCentral);
  return { limits, isCentral, name: limits.map(({ bindingId, dimension }) => `${bindingId} ${dimension}`).join() };
}

function isLimitCentral({ mode, budgetIsCentral, rateLimitIsCentral }: ProtoLimit): boolean {
  return mode === BindingMode.UNSPECIFIED || budgetIsCentral || rateLimitIsCentral;
}

function toCounters({ bindingId, mode, budget, rateLimit }: ProtoLimit): readonly AppliedLimit[] {
  const isShadow = mode === BindingMode.SHADOW;
  const limits: AppliedLimit[] = [];
  const add = (dimension: SliceDimension, limit: bigint | undefined, terms: string): void => {
    if (limit !== undefined) limits.push({ bindingId, dimension, limit: Number(limit), isShadow, terms });
  };
  const { window, timeZone, limitMicroUsd } = budget ?? {};
  add("money", budget && 0n, `${limitMicroUsd} in ${window} ${timeZone}`);
  const { maxRequests, maxTokens, maxConcurrent, windowSecs } = rateLimit ?? {};
  add("requests", maxRequests, `${maxRequests} in ${windowSecs}`);
  add("tokens", maxTokens, `${maxTokens} in ${windowSecs}`);
  add("concurrent", maxConcurrent, `${maxConcurrent}`);
  return limits;
}
