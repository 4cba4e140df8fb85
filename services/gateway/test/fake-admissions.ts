import {
  endBudgetReservation,
  endRateLimitReservation,
  decideAdmission,
  type Limits,
  EMPTY_COUNTER,
  addReservation,
  rateLimitStatesOf,
} from "@routeplane/admission";
import type { Admissions, RateLimitState } from "../src/domain/ports.ts";

/** The policy service's contract over one binding in memory, by the same arithmetic. */
export interface FakeAdmissions extends Admissions {
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
  /** What each hold was closed with, in order. */
  readonly closed: readonly { readonly tokens?: number; readonly neverSent?: boolean }[];
  /** How often each operation was called. */
  readonly calls: Readonly<Record<"admit" | "settle" | "release", number>>;
}

export function fakeBudget(limitNano: bigint): FakeAdmissions {
  return fakeAdmissions({ budget: { window: "total", limitNano } });
}

export function fakeAdmissions(limits: Limits, shadow = false): FakeAdmissions {
  const holds = new Map<string, { readonly reservedNano: bigint; readonly tokens: bigint; readonly atMs: number }>();
  const calls = { admit: 0, settle: 0, release: 0 };
  const closed: { tokens?: number; neverSent?: boolean }[] = [];
  const binding = { limits, counter: EMPTY_COUNTER, shadow };
  let spentNano = 0n;
  const close = (requestId: string, costNano: bigint, tokens: bigint, countsNoMore: boolean): void => {
    const hold = holds.get(requestId);
    if (!holds.delete(requestId) || hold === undefined) return;
    const { atMs } = hold;
    const closing = {
      releaseNano: hold.reservedNano,
      charge: { amount: costNano, atMs },
      tokens: { amount: tokens - hold.tokens, atMs },
      requests: countsNoMore ? { amount: -1n, atMs } : undefined,
      freesSlot: true,
    };
    spentNano += costNano;
    if (limits.budget) binding.counter = endBudgetReservation(binding.counter, closing, Date.now());
    if (limits.rateLimit) binding.counter = endRateLimitReservation(binding.counter, closing, Date.now());
  };
  return {
    calls,
    closed,
    get spentNano() {
      return spentNano;
    },
    get reservedNano() {
      return [...holds.values()].reduce((sum, { reservedNano }) => sum + reservedNano, 0n);
    },
    async admit({ requestId, price, inputTokensMax, outputTokensMax, choices, namespaceId }) {
      calls.admit++;
      const atMs = Date.now();
      const bounds = { inputTokensMax: BigInt(inputTokensMax), outputTokensMax: BigInt(outputTokensMax) };
      const decision = decideAdmission({ price, ...bounds, choices: BigInt(choices) }, [binding], atMs);
      const source = { policyId: "pol_1", bindingId: "bnd_1" };
      const shadowDenials = decision.shadowDenials.map(({ rule }) => ({ ...source, rule }));
      if (decision.outcome === "admit") {
        for (const each of decision.bindings) each.counter = addReservation(each.counter, limits, decision, atMs);
        holds.set(requestId, { ...decision, atMs });
      }
      const rates = rateLimitStatesOf([binding], atMs);
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
      const reservedNanoUsd = limits.budget === undefined ? 0n : decision.reservedNano;
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

function stateOf(state: ReturnType<typeof rateLimitStatesOf>["requests"]): RateLimitState | undefined {
  if (state === undefined) return undefined;
  return { limit: Number(state.limit), remaining: Number(state.remaining), resetsAt: new Date(state.resetsAtMs) };
}
