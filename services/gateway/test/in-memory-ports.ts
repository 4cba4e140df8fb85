import {
  closeBudgetOn,
  closeRateOn,
  decide,
  type Limits,
  NEW_COUNTER,
  openOn,
  rateStateOf,
} from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type {
  Admissions,
  AppliedGuardrail,
  Caller,
  Debt,
  GuardrailDirectory,
  HoldEnd,
  RateLimitState,
  RequestFacts,
  Reservation,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../src/domain/ports.ts";

/** The policy service's contract over one binding in memory, by the same arithmetic. */
export interface BudgetInMemory extends Admissions {
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
  /** What each hold was closed with, in order. */
  readonly closed: readonly { readonly tokens?: number; readonly neverSent?: boolean }[];
  /** How often each operation was called. */
  readonly calls: Readonly<Record<"admit" | "settle" | "release", number>>;
}

export function budgetInMemory(limitNano: bigint): BudgetInMemory {
  return limitsInMemory({ budget: { window: "total", limitNano } });
}

export function limitsInMemory(limits: Limits, shadow = false): BudgetInMemory {
  const holds = new Map<string, { readonly reserveNano: bigint; readonly tokens: bigint; readonly atMs: number }>();
  const calls = { admit: 0, settle: 0, release: 0 };
  const closed: { tokens?: number; neverSent?: boolean }[] = [];
  const binding = { limits, counter: NEW_COUNTER, shadow };
  let spentNano = 0n;
  const close = (requestId: string, costNano: bigint, tokens: bigint, countsNoMore: boolean): void => {
    const hold = holds.get(requestId);
    if (!holds.delete(requestId) || hold === undefined) return;
    const { atMs } = hold;
    const closing = {
      releaseNano: hold.reserveNano,
      charge: { amount: costNano, atMs },
      tokens: { amount: tokens - hold.tokens, atMs },
      requests: countsNoMore ? { amount: -1n, atMs } : undefined,
      freesSlot: true,
    };
    spentNano += costNano;
    if (limits.budget) binding.counter = closeBudgetOn(binding.counter, closing, Date.now());
    if (limits.rateLimit) binding.counter = closeRateOn(binding.counter, closing, Date.now());
  };
  return {
    calls,
    closed,
    get spentNano() {
      return spentNano;
    },
    get reservedNano() {
      return [...holds.values()].reduce((sum, { reserveNano }) => sum + reserveNano, 0n);
    },
    async admit({ requestId, price, inputTokensMax, outputTokensMax, choices, namespaceId }) {
      calls.admit++;
      const atMs = Date.now();
      const bounds = { inputTokensMax: BigInt(inputTokensMax), outputTokensMax: BigInt(outputTokensMax) };
      const decision = decide({ price, ...bounds, choices: BigInt(choices) }, [binding], atMs);
      const source = { policyId: "pol_1", bindingId: "bnd_1" };
      const shadowDenials = decision.shadowed.map(({ rule }) => ({ ...source, rule }));
      if (decision.outcome === "admit") {
        for (const each of decision.bindings) each.counter = openOn(each.counter, limits, decision, atMs);
        holds.set(requestId, { ...decision, atMs });
      }
      const rates = rateStateOf([binding], atMs);
      const common = { shadowDenials, requests: stateOf(rates.requests), tokens: stateOf(rates.tokens) };
      if (decision.outcome === "deny") {
        const { rule, retryAtMs } = decision;
        const retryAt = retryAtMs === undefined ? undefined : new Date(retryAtMs);
        const principal = { principalType: "namespace", principalId: namespaceId } as const;
        const denial = { ...source, policyName: "cap", ...principal, rule, retryAt, message: "does not fit" };
        return { ...common, admitted: false, denial };
      }
      const granted = Number(decision.outputTokensMax);
      const isLimited = limits.budget !== undefined || limits.rateLimit !== undefined;
      const expiresAt = isLimited ? new Date(atMs + 900_000) : undefined;
      const reservedNanoUsd = limits.budget === undefined ? 0n : decision.reserveNano;
      return { ...common, admitted: true, outputTokensMax: granted, reservedNanoUsd, expiresAt };
    },
    async settle({ requestId }, { costNanoUsd, tokens }) {
      calls.settle++;
      closed.push({ tokens });
      close(requestId, costNanoUsd, BigInt(tokens), false);
    },
    async release({ requestId }, neverSent) {
      calls.release++;
      closed.push({ neverSent });
      close(requestId, 0n, 0n, neverSent);
    },
  };
}

function stateOf(state: ReturnType<typeof rateStateOf>["requests"]): RateLimitState | undefined {
  if (state === undefined) return undefined;
  return { limit: Number(state.limit), remaining: Number(state.left), resetsAt: new Date(state.resetsAtMs) };
}

export interface UsageInMemory extends UsageLog {
  readonly admissions: readonly (Reservation & { readonly facts: RequestFacts })[];
  readonly settlements: readonly (Settlement & { readonly facts: RequestFacts })[];
  readonly unloggedDenials: readonly UnloggedDenials[];
  /** What a next process would have to do. */
  readonly owed: ReadonlyMap<Debt, HoldEnd>;
}

/** @param durable what becomes of an admission event; durable at once by default */
export function usageInMemory(durable: () => Promise<void> = async () => {}): UsageInMemory {
  const admissions: (Reservation & { facts: RequestFacts })[] = [];
  const settlements: (Settlement & { facts: RequestFacts })[] = [];
  const unloggedDenials: UnloggedDenials[] = [];
  const owed = new Map<Debt, HoldEnd>();
  let last = 0;
  const owe = (end: HoldEnd): Debt => {
    owed.set(++last, end);
    return last;
  };
  return {
    admissions,
    settlements,
    owed,
    unpaid: [],
    asking: (hold) => owe({ ...hold, costNanoUsd: 0n, tokens: 0, neverSent: true }),
    admitted(facts, reservation, asked) {
      admissions.push({ ...reservation, facts });
      owed.delete(asked);
      return { durable: durable() };
    },
    settled(facts, settlement, end, asked) {
      settlements.push({ ...settlement, facts });
      owed.delete(asked);
      return end === undefined ? 0 : owe(end);
    },
    paid: (debt) => void owed.delete(debt),
    unloggedDenials,
    deniedUnlogged: (denials) => void unloggedDenials.push(denials),
  };
}

export function callerWith(scopes: readonly string[]): Caller {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId: newId("ns"), scopes, lineage: [keyId] };
}

/** Guardrails that apply to every key: each from a binding of its own, `bnd_1` and so on. */
export function guardrailsInMemory(
  specs: readonly GuardrailSpec[],
  mode: AppliedGuardrail["mode"] = "enforce",
): GuardrailDirectory {
  const applied = specs.map((spec, index): AppliedGuardrail => {
    const number = index + 1;
    const principal = { principalType: "namespace", principalId: "ns_1" } as const;
    const binding = { policyId: `pol_${number}`, policyName: `rule ${number}`, bindingId: `bnd_${number}` };
    return { ...binding, ...principal, mode, spec };
  });
  return { of: async () => applied };
}
