import { type Counter, resizeCounter, EMPTY_COUNTER, type Ring, ringFreesAt, ringSum } from "@routeplane/admission";
import { type Id, notFound } from "@routeplane/domain";
import type { BudgetSpec, RateLimitSpec } from "@routeplane/policy-spec";
import { toBudgetLimit } from "../admission/applied-limits.ts";
import type { Applied } from "./applied-policy.ts";
import { type EffectivePolicy, composePolicies } from "./effective-policy.ts";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { AppliedPolicies, CounterReader, KeyDirectory, ReadCounter } from "../ports.ts";

/** Consumption of a budget at one moment. Nano-USD. */
export interface BudgetUse {
  /** Settled within the window. */
  readonly spentNano: bigint;
  /** Sum of the open reservations and of what is set aside for gateway sessions. */
  readonly reservedNano: bigint;
  /** Part of it that is outstanding in slices. */
  readonly leasedNano: bigint;
  /** Part of it that is held back of lost sessions. */
  readonly heldBackNano: bigint;
  /** Moment at which the oldest spent amount leaves the window; undefined if nothing is spent, or nothing ever leaves. */
  readonly freesUpAt: Date | undefined;
}

/** Consumption of a rate limit at one moment. */
export interface RateLimitUse {
  readonly requests: bigint;
  readonly tokens: bigint;
  /** Number of open reservations. */
  readonly concurrent: bigint;
  /** Moment at which the oldest counted amount leaves the window; undefined if nothing is counted. */
  readonly freesUpAt: Date | undefined;
}

/** Limit and its consumption. */
export interface AppliedWithUse<Spec, Use> extends Applied<Spec> {
  readonly use: Use;
}

/** Effective policy of a principal and the consumption of its limits. */
export interface EffectivePolicyWithUse extends EffectivePolicy {
  readonly principal: BoundPrincipal;
  /** Key ids from the root key down to the key; empty for a namespace. */
  readonly lineage: readonly Id<"key">[];
  readonly budgets: readonly AppliedWithUse<BudgetSpec, BudgetUse>[];
  readonly rateLimits: readonly AppliedWithUse<RateLimitSpec, RateLimitUse>[];
}

/**
 * Reads an effective policy as a whole or not at all.
 *
 * @throws DomainError NOT_FOUND for a principal that the namespace does not have, UNAVAILABLE; Error if a policy cannot be read
 */
export type ReadEffectivePolicy = (namespaceId: Id<"ns">, principal: BoundPrincipal) => Promise<EffectivePolicyWithUse>;

export interface ReadEffectivePolicyDependencies {
  readonly applied: AppliedPolicies;
  readonly counterReader: CounterReader;
  readonly keys: KeyDirectory;
}

const MAX_ATTEMPTS = 3;

export function createReadEffectivePolicy(dependencies: ReadEffectivePolicyDependencies): ReadEffectivePolicy {
  const { applied, counterReader, keys } = dependencies;
  return async (namespaceId, principal) => {
    const lineage = await lineageOf(keys, namespaceId, principal);
    for (let attempt = 1; ; attempt++) {
      const effective = composePolicies(await applied.of(namespaceId, lineage));
      const { budgets, rateLimits } = effective;
      const bindingIds = new Set([...budgets, ...rateLimits].map(({ bindingId }) => bindingId));
      const read = await counterReader.ofBindings(namespaceId, [...bindingIds]);
      if (read.counters.size === bindingIds.size) {
        const use = withUse(read);
        const used = { budgets: budgets.map(use(budgetUseOf)), rateLimits: rateLimits.map(use(rateLimitUseOf)) };
        return { ...effective, principal, lineage, ...used };
      }
      // A policy was unbound between the two reads.
      if (attempt === MAX_ATTEMPTS) throw new Error("the consumption of a limit cannot be read");
    }
  };
}

function withUse({ counters, now }: Awaited<ReturnType<CounterReader["ofBindings"]>>) {
  return <Spec, Use>(useOf: (spec: Spec, counter: ReadCounter, nowMs: number) => Use) =>
    (applied: Applied<Spec>): AppliedWithUse<Spec, Use> => {
      const use = useOf(applied.spec, counters.get(applied.bindingId) ?? UNUSED, now.getTime());
      return { ...applied, use };
    };
}

const UNUSED: ReadCounter = { ...EMPTY_COUNTER, leasedNano: 0n, heldBackNano: 0n };

export function budgetUseOf(spec: BudgetSpec, counter: ReadCounter, nowMs: number): BudgetUse {
  const { spend, reservedNano } = resizeCounter(counter, { budget: toBudgetLimit(spec) }, nowMs);
  const { leasedNano, heldBackNano } = counter;
  const freesUpAt = dateOf([freesUpMs(spend, nowMs)]);
  return { spentNano: sumOf(spend, nowMs), reservedNano, leasedNano, heldBackNano, freesUpAt };
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

/** Moment at which the sum falls below its present value; undefined if nothing is counted, or it never falls. */
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
