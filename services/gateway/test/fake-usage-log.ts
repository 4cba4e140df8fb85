import type { RequestFacts } from "../src/domain/metering/request-facts.ts";
import type {
  OutboxOffset,
  PendingSettlement,
  Reservation,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../src/domain/ports/usage-log.ts";
import { unavailable } from "./unavailable.ts";

/** Fake `UsageLog` that keeps what it records. */
export interface FakeUsageLog extends UsageLog {
  readonly admissions: readonly (Reservation & { readonly facts: RequestFacts })[];
  readonly settlements: readonly (Settlement & { readonly facts: RequestFacts })[];
  readonly unloggedDenials: readonly UnloggedDenials[];
  /** Outbox as the next process on the spool would find it. */
  readonly pending: ReadonlyMap<OutboxOffset, PendingSettlement>;
  /** Makes the log refuse new requests while it is true; running ones are still recorded. */
  refusesNew: boolean;
  /** A log on the same spool, as the next process opens it. */
  reopen(): FakeUsageLog;
}

/** @param committed outcome of committing an admission event; committed at once by default */
export function fakeUsageLog(
  committed: () => Promise<void> = async () => {},
  pending = new Map<OutboxOffset, PendingSettlement>(),
): FakeUsageLog {
  const admissions: (Reservation & { facts: RequestFacts })[] = [];
  const settlements: (Settlement & { facts: RequestFacts })[] = [];
  const unloggedDenials: UnloggedDenials[] = [];
  let last = Math.max(0, ...pending.keys());
  const enqueue = (settlement: PendingSettlement): OutboxOffset => {
    pending.set(++last, settlement);
    return last;
  };
  return {
    admissions,
    settlements,
    pending,
    refusesNew: false,
    pendingFromPreviousRun: Array.from(pending, ([offset, settlement]) => ({ offset, settlement })),
    requireCapacity() {
      if (this.refusesNew) throw unavailable("spool");
    },
    enqueueRelease({ namespaceId, keyId, requestId }) {
      if (this.refusesNew) throw unavailable("spool");
      return enqueue({ namespaceId, keyId, requestId, costNanoUsd: 0n, tokens: 0, neverSent: true });
    },
    sessionsFromPreviousRun: Promise.resolve([]),
    previousRunAcknowledged: Promise.resolve(),
    recordSession: () => ++last,
    isOwner: () => true,
    recordAdmission(facts, reservation, pendingRelease, sliced) {
      admissions.push({ ...reservation, facts });
      if (pendingRelease !== undefined) pending.delete(pendingRelease);
      if (sliced === undefined) return { committed: committed() };
      queueMicrotask(sliced.onAcknowledged);
      const { namespaceId, keyId, requestId } = facts;
      const { boundNanoUsd: costNanoUsd, tokensMax: tokens } = sliced.slices;
      const key = { namespaceId, keyId, requestId };
      const unknown = { ...key, costNanoUsd, tokens, neverSent: false, slices: sliced.slices, isUnknown: true };
      return { committed: committed(), pendingEnd: enqueue(unknown) };
    },
    recordSettlement(facts, settlement, pendingSettlement, completes, onAcknowledged) {
      settlements.push({ ...settlement, facts });
      if (completes !== undefined) pending.delete(completes);
      if (onAcknowledged !== undefined) queueMicrotask(onAcknowledged);
      return pendingSettlement === undefined ? 0 : enqueue(pendingSettlement);
    },
    complete: (offset) => void pending.delete(offset),
    unloggedDenials,
    recordUnloggedDenials: (denials) => void unloggedDenials.push(denials),
    reopen: () => fakeUsageLog(committed, pending),
  };
}
