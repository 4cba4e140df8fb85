/**
 * Holds, reservations and spend. Every change of a budget is made under the lock of its counter row; counters are locked in
 * order of binding id, always before a hold is written, so that no two transactions wait for each other. What a lock
 * protects is read by a later statement than the one that waited for it: a statement sees what was committed when it began.
 */
import { oldestCountedBucket } from "@routeplane/admission";
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { RawBuilder } from "kysely";
import { type ClosedHold, toEntries } from "../domain/entries.ts";
import type { AppliedBudget, Hold } from "../domain/hold.ts";
import type { CloseHold, HoldKey, Ledger } from "../domain/ports.ts";
import {
  CounterGone,
  lockApplied,
  lockHeld,
  type LockedBudget,
  type LockedWindow,
  ofRequest,
  overdueIn,
  readClock,
  readCounters,
  readHolds,
  readSpent,
  type Since,
} from "./ledger-reads.ts";
import { openHold, voidUnopened, writeClosed } from "./ledger-writes.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Holds that one sweep ends at most: it bounds how long the admission that sweeps waits. */
const SWEEP_SIZE = 100;

export function createLedger(database: Database<PolicySchema>): Ledger {
  return {
    admit: (key, lineage, step) =>
      againIfHoldAppears(() =>
        database.within(key, async (tx) => {
          const { budgets: locked, now } = await lockApplied(tx, key.namespaceId, [key.namespaceId, ...lineage]);
          const { spentNano, known, overdue } = await readSpent(tx, key, sinces(locked, now));
          const [hold] = known ? await readHolds(tx, key.namespaceId, ofRequest(key)) : [];
          const budgets = locked.map((budget) => withSpent(budget, spentNano(budget.bindingId)));
          const { answer, open } = step({ now, budgets, hold, overdue });
          const bindingIds = budgets.map(({ bindingId }) => bindingId);
          if (open !== undefined) await openHold(tx, key, { ...open, bindingIds });
          return answer;
        }),
      ),

    settle: (key, close) =>
      againIfHoldAppears(() =>
        database.within(key, async (tx) => {
          await closeOne(tx, key, close);
        }),
      ),

    void: (key, close) =>
      againIfHoldAppears(() =>
        database.within(key, async (tx) => {
          const hold = await closeOne(tx, key, close);
          if (hold === undefined) await voidUnopened(tx, key);
        }),
      ),

    expireOverdue: (namespaceId, close) =>
      database.within({ namespaceId }, async (tx) => {
        await closeHolds(tx, namespaceId, overdueIn(namespaceId, SWEEP_SIZE), close);
      }),
  };
}

function withSpent(budget: LockedBudget, spentNano: bigint): AppliedBudget {
  return { ...budget, spentNano };
}

/** The request's hold as it was, or undefined if it has none. */
async function closeOne(tx: Tx, key: HoldKey, close: CloseHold): Promise<Hold | undefined> {
  const { namespaceId } = key;
  const { holds, missed } = await closeHolds(tx, namespaceId, ofRequest(key), close);
  if (missed.length > 0) throw new HoldAppeared();
  return holds[0];
}

async function closeHolds(tx: Tx, namespaceId: HoldKey["namespaceId"], which: RawBuilder<unknown>, close: CloseHold) {
  const { windows, now } = await lockHeld(tx, namespaceId, which);
  const holds = await readHolds(tx, namespaceId, which);
  const byBinding = new Map(windows.map(({ bindingId, window }) => [bindingId, window]));
  const unlocked = holds.flatMap(({ bindingIds }) => bindingIds.filter((id) => !byBinding.has(id)));
  const opened = new Set(await readCounters(tx, namespaceId, unlocked));
  // What is neither locked nor there has been unbound: nothing of it is left to settle.
  const isLocked = ({ bindingIds }: Hold): boolean => bindingIds.every((id) => !opened.has(id));
  if (holds.length > 0) {
    const at = now ?? (await readClock(tx));
    const closed = holds.filter(isLocked).flatMap((hold): ClosedHold[] => {
      const change = close(hold, at);
      return change === undefined ? [] : [{ hold, change }];
    });
    const entries = toEntries(closed, byBinding, at);
    if (closed.length > 0) await writeClosed(tx, namespaceId, closed, entries, sinces(windows, at), at);
  }
  // Those that opened, or became overdue, after the budgets to lock were chosen.
  const missed = holds.filter((hold) => !isLocked(hold));
  return { holds, missed };
}

/** From which bucket on each window counts. */
function sinces(budgets: readonly LockedWindow[], now: Date): readonly Since[] {
  return budgets.map(({ bindingId, window }) => ({
    bindingId,
    since: new Date(oldestCountedBucket(window, now.getTime())),
  }));
}

/** A hold was opened by another transaction after this one looked for it. */
class HoldAppeared extends Error {
  override readonly name = "HoldAppeared";
}

const MAX_ATTEMPTS = 10;

/** The next time it is seen from the start. */
async function againIfHoldAppears<T>(transaction: () => Promise<T>, attemptsLeft = MAX_ATTEMPTS): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    const appeared =
      error instanceof HoldAppeared || error instanceof CounterGone || isUniqueViolation(error, "holds_pkey");
    if (!appeared || attemptsLeft <= 1) throw error;
    return againIfHoldAppears(transaction, attemptsLeft - 1);
  }
}
