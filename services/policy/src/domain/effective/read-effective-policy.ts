import type { BudgetSpec, RateLimitSpec } from "@routeplane/policy-spec";
import { type Counter, resizeCounter, EMPTY_COUNTER, type Ring, ringFreesAt, ringSum } from "@routeplane/admission";
import { type Id, notFound } from "@routeplane/domain";
import { toBudgetLimit } from "../admission/applied-limits.ts";
import type { Applied } from "./applied-policy.ts";
import { type EffectivePolicy, composePolicies } from "./effective-policy.ts";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { AppliedPolicies, CounterReader, KeyDirectory } from "../ports.ts";

/** What is used of a budget now. Nano-USD. */
export interface BudgetUse {
  /** Settled within the window. */
  readonly spentNano: bigint;
  /** Held for requests that are under way. */
  readonly reservedNano: bigint;
  /** When the oldest part of what is spent leaves the window; undefined: nothing is spent, or it never does. */
  readonly freesUpAt: Date | undefined;
}

/** What is used of a rate limit now. */
export interface RateLimitUse {
  readonly requests: bigint;
  readonly tokens: bigint;
  /** Requests under way. */
  readonly concurrent: bigint;
  /** When the oldest part of what counts leaves the window; undefined: nothing counts. */
  readonly freesUpAt: Date | undefined;
}

/** A limit and what is used of it now. */
export interface AppliedWithUse<Spec, Use> extends Applied<Spec> {
  readonly use: Use;
}

/** What applies to a principal, and what is used of it now. */
export interface EffectivePolicyWithUse extends EffectivePolicy {
  readonly principal: BoundPrincipal;
  /** Of a key: from the root key down to it. Of a namespace: empty. */
  readonly lineage: readonly Id<"key">[];
  readonly budgets: readonly AppliedWithUse<BudgetSpec, BudgetUse>[];
  readonly rateLimits: readonly AppliedWithUse<RateLimitSpec, RateLimitUse>[];
}

/** @throws DomainError NOT_FOUND for a principal of no such namespace, UNAVAILABLE; Error if a policy cannot be read */
export type ReadEffectivePolicy = (namespaceId: Id<"ns">, principal: BoundPrincipal) => Promise<EffectivePolicyWithUse>;

export interface ReadEffectivePolicyDependencies {
  readonly applied: AppliedPolicies;
  readonly consumption: CounterReader;
  readonly keys: KeyDirectory;
}

const MAX_ATTEMPTS = 3;

export function createReadEffectivePolicy(dependencies: ReadEffectivePolicyDependencies): ReadEffectivePolicy {
  const { applied, consumption, keys } = dependencies;
  return async (namespaceId, principal) => {
    const lineage = await lineageOf(keys, namespaceId, principal);
    for (let attempt = 1; ; attempt++) {
      const effective = composePolicies(await applied.of(namespaceId, lineage));
      const { budgets, rateLimits } = effective;
      const bindingIds = new Set([...budgets, ...rateLimits].map(({ bindingId }) => bindingId));
      const { now, counters } = await consumption.ofBindings(namespaceId, [...bindingIds]);
      if (counters.size === bindingIds.size) {
        const use = withUse(counters, now);
        const used = { budgets: budgets.map(use(budgetUseOf)), rateLimits: rateLimits.map(use(rateLimitUseOf)) };
        return { ...effective, principal, lineage, ...used };
      }
      // One was unbound between the two readings.
      if (attempt === MAX_ATTEMPTS) throw new Error("what is used of a limit cannot be read");
    }
  };
}

function withUse(counters: ReadonlyMap<Id<"bnd">, Counter>, now: Date) {
  return <Spec, Use>(useOf: (spec: Spec, counter: Counter, nowMs: number) => Use) =>
    (applied: Applied<Spec>): AppliedWithUse<Spec, Use> => {
      const use = useOf(applied.spec, counters.get(applied.bindingId) ?? EMPTY_COUNTER, now.getTime());
      return { ...applied, use };
    };
}

export function budgetUseOf(spec: BudgetSpec, counter: Counter, nowMs: number): BudgetUse {
  const { spend, reservedNano } = resizeCounter(counter, { budget: toBudgetLimit(spec) }, nowMs);
  return { spentNano: sumOf(spend, nowMs), reservedNano, freesUpAt: dateOf([freesUpMs(spend, nowMs)]) };
}

function rateLimitUseOf(spec: RateLimitSpec, counter: Counter, nowMs: number): RateLimitUse {
  const { requests, tokens, openReservations } = resizeCounter(counter, { rateLimit: spec }, nowMs);
  return {
    requests: sumOf(requests, nowMs),
    tokens: sumOf(tokens, nowMs),
    concurrent: openReservations,
    freesUpAt: dateOf([freesUpMs(requests, nowMs), freesUpMs(tokens, nowMs)]),
  };
}

function sumOf(ring: Ring | undefined, nowMs: number): bigint {
  return ring === undefined ? 0n : ringSum(ring, nowMs);
}

/** When less of it counts than now. */
function freesUpMs(ring: Ring | undefined, nowMs: number): number | undefined {
  const sum = sumOf(ring, nowMs);
  return ring === undefined || sum === 0n ? undefined : ringFreesAt(ring, sum - 1n, nowMs);
}

function dateOf(moments: readonly (number | undefined)[]): Date | undefined {
  const known = moments.filter((ms) => ms !== undefined);
  return known.length === 0 ? undefined : new Date(Math.min(...known));
}

async function lineageOf(
  keys: KeyDirectory,
  namespaceId: Id<"ns">,
  principal: BoundPrincipal,
): Promise<readonly Id<"key">[]> {
  if (principal.type === "namespace") {
    if (principal.id !== namespaceId) throw notFound();
    return [];
  }
  const key = await keys.find(namespaceId, principal.id);
  if (key === undefined) throw notFound();
  return key.lineage;
}
