import { decide } from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type {
  Admissions,
  AppliedGuardrail,
  Caller,
  Debt,
  GuardrailDirectory,
  HoldEnd,
  RequestFacts,
  Reservation,
  Settlement,
  UsageLog,
} from "../src/domain/ports.ts";

/** The policy service's contract over one budget in memory, by the same arithmetic. */
export interface BudgetInMemory extends Admissions {
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
  /** How often each operation was called. */
  readonly calls: Readonly<Record<"admit" | "settle" | "release", number>>;
}

export function budgetInMemory(limitNano: bigint): BudgetInMemory {
  const holds = new Map<string, bigint>();
  const calls = { admit: 0, settle: 0, release: 0 };
  let spentNano = 0n;
  const reserved = (): bigint => [...holds.values()].reduce((sum, each) => sum + each, 0n);
  return {
    calls,
    get spentNano() {
      return spentNano;
    },
    get reservedNano() {
      return reserved();
    },
    async admit({ requestId, price, inputTokensMax, outputTokensMax, choices, namespaceId }) {
      calls.admit++;
      const asked = { inputTokensMax: BigInt(inputTokensMax), outputTokensMax: BigInt(outputTokensMax) };
      const budget = { limitNano, spentNano, reservedNano: reserved() };
      const decision = decide({ price, ...asked, choices: BigInt(choices) }, [budget]);
      if (decision.outcome === "deny") {
        const denial = { policyId: "pol_1", policyName: "cap", bindingId: "bnd_1", message: "does not fit" };
        return { admitted: false, denial: { ...denial, principalType: "namespace", principalId: namespaceId } };
      }
      holds.set(requestId, decision.reserveNano);
      const granted = Number(decision.outputTokensMax);
      const expiresAt = new Date(Date.now() + 900_000);
      return { admitted: true, outputTokensMax: granted, reservedNanoUsd: decision.reserveNano, expiresAt };
    },
    async settle({ requestId }, costNanoUsd) {
      calls.settle++;
      if (holds.delete(requestId)) spentNano += costNanoUsd;
    },
    async release({ requestId }) {
      calls.release++;
      holds.delete(requestId);
    },
  };
}

export interface UsageInMemory extends UsageLog {
  readonly admissions: readonly (Reservation & { readonly facts: RequestFacts })[];
  readonly settlements: readonly (Settlement & { readonly facts: RequestFacts })[];
  /** What a next process would have to do. */
  readonly owed: ReadonlyMap<Debt, HoldEnd>;
}

/** @param durable what becomes of an admission event; durable at once by default */
export function usageInMemory(durable: () => Promise<void> = async () => {}): UsageInMemory {
  const admissions: (Reservation & { facts: RequestFacts })[] = [];
  const settlements: (Settlement & { facts: RequestFacts })[] = [];
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
    asking: ({ namespaceId, requestId }) => owe({ namespaceId, requestId, costNanoUsd: 0n }),
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
