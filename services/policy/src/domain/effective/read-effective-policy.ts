import { resizeCounter, EMPTY_COUNTER, type Ring, ringFreesAt, ringSum } from "@routeplane/admission";
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
  /** Part of `reservedNano` that is outstanding in slices. */
  readonly leasedNano: bigint;
  /** Part of `reservedNano` that is held back of lost sessions. */
  readonly heldBackNano: bigint;
  /** Moment at which the oldest spent amount leaves the window; undefined if nothing is spent, or nothing ever leaves. */
  readonly freesUpAt: Date | undefined;
}

/** Consumption of a rate limit at one moment. */
export interface RateLimitUse {
  readonly requests: bigint;
  readonly tokens: bigint;
  /** Number of open reservations, and of the slots in slices. */
  readonly concurrent: bigint;
  /** Part of `concurrent` that is outstanding in slices. */
  readonly leasedConcurrent: bigint;
  /** Moment at which the oldest counted request leaves the window; undefined if none is counted. */
  readonly requestsFreeUpAt: Date | undefined;
  /** Moment at which the oldest counted tokens leave the window; undefined if none are counted. */
  readonly tokensFreeUpAt: Date | undefined;
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

/** Reads the effective policy of a key that is verified, as `ReadEffectivePolicy` does, without asking for its lineage. */
export type ReadPolicyOfKey = (key: VerifiedKey) => Promise<EffectivePolicyWithUse>;

/** Key as the verification of its token found it. */
export interface VerifiedKey {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** Key ids from the root key down to the key. */
  readonly lineage: readonly Id<"key">[];
}

export interface ReadEffectivePolicyDependencies {
  readonly applied: AppliedPolicies;
  readonly counterReader: CounterReader;
  readonly keys: KeyDirectory;
}

const MAX_ATTEMPTS = 3;

/** Creates the reader of effective policies, of any principal of a namespace and of a verified key. */
export function createReadEffectivePolicy({ applied, counterReader, keys }: ReadEffectivePolicyDependencies): {
  readonly read: ReadEffectivePolicy;
  readonly readOfKey: ReadPolicyOfKey;
} {
  const readWithUse = async (
    namespaceId: Id<"ns">,
    principal: BoundPrincipal,
    lineage: readonly Id<"key">[],
  ): Promise<EffectivePolicyWithUse> => {
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
  return {
    read: async (namespaceId, principal) =>
      readWithUse(namespaceId, principal, await lineageOf(keys, namespaceId, principal)),
    readOfKey: ({ namespaceId, keyId, lineage }) => readWithUse(namespaceId, { type: "api_key", id: keyId }, lineage),
  };
}

function withUse({ counters, now }: Awaited<ReturnType<CounterReader["ofBindings"]>>) {
  return <Spec, Use>(useOf: (spec: Spec, counter: ReadCounter, nowMs: number) => Use) =>
    (applied: Applied<Spec>): AppliedWithUse<Spec, Use> => {
      const use = useOf(applied.spec, counters.get(applied.bindingId) ?? UNUSED, now.getTime());
      return { ...applied, use };
    };
}

const UNUSED: ReadCounter = { ...EMPTY_COUNTER, leasedNano: 0n, heldBackNano: 0n, leasedSlots: 0n };

export function budgetUseOf(spec: BudgetSpec, counter: ReadCounter, nowMs: number): BudgetUse {
  const { spend, reservedNano } = resizeCounter(counter, { budget: toBudgetLimit(spec) }, nowMs);
  const { leasedNano, heldBackNano } = counter;
  const freesUpAt = freesUpAtOf(spend, nowMs);
  return { spentNano: sumOf(spend, nowMs), reservedNano, leasedNano, heldBackNano, freesUpAt };
}

function rateLimitUseOf(spec: RateLimitSpec, counter: ReadCounter, nowMs: number): RateLimitUse {
  const { requests, tokens, openReservations } = resizeCounter(counter, { rateLimit: spec }, nowMs);
  return {
    requests: sumOf(requests, nowMs),
    tokens: sumOf(tokens, nowMs),
    concurrent: openReservations,
    leasedConcurrent: counter.leasedSlots,
    requestsFreeUpAt: freesUpAtOf(requests, nowMs),
    tokensFreeUpAt: freesUpAtOf(tokens, nowMs),
  };
}

function sumOf(ring: Ring | undefined, nowMs: number): bigint {
  return ring === undefined ? 0n : ringSum(ring, nowMs);
}

/** Moment at which the sum falls below its present value; undefined if nothing is counted, or it never falls. */
function freesUpAtOf(ring: Ring | undefined, nowMs: number): Date | undefined {
  const sum = sumOf(ring, nowMs);
  const ms = ring === undefined || sum === 0n ? undefined : ringFreesAt(ring, sum - 1n, nowMs);
  return ms === undefined ? undefined : new Date(ms);
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
