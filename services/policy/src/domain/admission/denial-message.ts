import type { BudgetLimit, Excess } from "@routeplane/admission";
import { microToNano, nanoToMicro } from "@routeplane/domain";
import type { AppliedLimits } from "./applied-limits.ts";

/** Message of a denial for people: the limit, what remains of it, and the smallest amount that the request needs. */
export function denialMessage(excess: Excess<AppliedLimits>): string {
  const { rule, limit, remaining, needed, retryAtMs } = excess;
  const { policyName, limits } = excess.binding;
  const never = retryAtMs === undefined ? ", which will never fit" : "";
  const within = `in ${limits.rateLimit?.windowSecs} s`;
  switch (rule) {
    case "budget":
      return (
        `budget "${policyName}" (${windowText(limits.budget)}, ${nanoToMicro(limit)} micro-USD) has ` +
        `${remaining / microToNano(1n)} micro-USD left; the request needs at least ${nanoToMicro(needed)} micro-USD${never}`
      );
    case "rate_limit.max_requests":
      return `rate limit "${policyName}" (${limit} requests ${within}) has no request left`;
    case "rate_limit.max_tokens":
      return (
        `rate limit "${policyName}" (${limit} tokens ${within}) has ${remaining} tokens left; ` +
        `the request needs at least ${needed} tokens${never}`
      );
    case "rate_limit.max_concurrent":
      return `rate limit "${policyName}" allows ${limit} concurrent requests, and as many are running`;
  }
}

function windowText(budget: BudgetLimit | undefined): string {
  const { window = "", timeZone } = budget ?? {};
  return timeZone === undefined ? window : `${window} in ${timeZone}`;
}
