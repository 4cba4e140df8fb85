import type {
  OutboxOffset,
  PendingSettlement,
  RequestFacts,
  Reservation,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../src/domain/ports/usage-log.ts";

export interface FakeUsageLog extends UsageLog {
  readonly admissions: readonly (Reservation & { readonly facts: RequestFacts })[];
  readonly settlements: readonly (Settlement & { readonly facts: RequestFacts })[];
  readonly unloggedDenials: readonly UnloggedDenials[];
  /** Outbox as a next process on the spool would find it. */
  readonly pending: ReadonlyMap<OutboxOffset, PendingSettlement>;
}

/** @param committed outcome of committing an admission event; committed at once by default */
export function fakeUsageLog(committed: () => Promise<void> = async () => {}): FakeUsageLog {
  const admissions: (Reservation & { facts: RequestFacts })[] = [];
  const settlements: (Settlement & { facts: RequestFacts })[] = [];
  const unloggedDenials: UnloggedDenials[] = [];
  const pending = new Map<OutboxOffset, PendingSettlement>();
  let last = 0;
  const enqueue = (settlement: PendingSettlement): OutboxOffset => {
    pending.set(++last, settlement);
    return last;
  };
  return {
    admissions,
    settlements,
    pending,
    pendingFromPreviousRun: [],
    enqueueRelease: (key) => enqueue({ ...key, costNanoUsd: 0n, tokens: 0, neverSent: true }),
    recordAdmission(facts, reservation, pendingRelease) {
      admissions.push({ ...reservation, facts });
      pending.delete(pendingRelease);
      return { committed: committed() };
    },
    recordSettlement(facts, settlement, pendingSettlement, pendingRelease) {
      settlements.push({ ...settlement, facts });
      pending.delete(pendingRelease);
      return pendingSettlement === undefined ? 0 : enqueue(pendingSettlement);
    },
    complete: (offset) => void pending.delete(offset),
    unloggedDenials,
    recordUnloggedDenials: (denials) => void unloggedDenials.push(denials),
  };
}
