import type {
  Debt,
  HoldEnd,
  RequestFacts,
  Reservation,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../src/domain/ports.ts";

export interface FakeUsageLog extends UsageLog {
  readonly admissions: readonly (Reservation & { readonly facts: RequestFacts })[];
  readonly settlements: readonly (Settlement & { readonly facts: RequestFacts })[];
  readonly unloggedDenials: readonly UnloggedDenials[];
  /** What a next process would have to do. */
  readonly owed: ReadonlyMap<Debt, HoldEnd>;
}

/** @param durable what becomes of an admission event; durable at once by default */
export function fakeUsageLog(durable: () => Promise<void> = async () => {}): FakeUsageLog {
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
