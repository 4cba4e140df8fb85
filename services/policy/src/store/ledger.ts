/**
 * Holds, and what limits have counted. Every change of a counter is made under the lock of its row, which holds all that a
 * decision needs: one row for each binding, whatever was spent. Locks are taken in one order, so that no two transactions
 * wait for each other: first the hold (nobody waits for a second one), then counters in order of binding id. An admission
 * starts with the counters: its hold is not there yet, or is only read.
 */
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { RawBuilder } from "kysely";
import { closeOn, type Hold } from "../domain/hold.ts";
import type { AdmissionState, AdmissionStep, CloseHold, HoldKey, Ledger } from "../domain/ports.ts";
import { CounterGone, lockApplied, lockCounters, lockedOf, lockHolds, overdue, readHold } from "./ledger-reads.ts";
import { type ClosedHold, counterChanges, openHold, voidUnopened, writeClosed } from "./ledger-writes.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Holds that one sweep ends at most: it bounds how long the admission that sweeps waits. */
const SWEEP_SIZE = 100;

export function createLedger(database: Database<PolicySchema>): Ledger {
  return {
    admit: (key, lineage, step) =>
      againIfOvertaken(() =>
        database.within(key, async (tx) => {
          const { known, ...applied } = await lockApplied(tx, key, [key.namespaceId, ...lineage]);
          const state = { ...applied, hold: known ? await readHold(tx, key) : undefined };
          const { answer, open } = await stepOn(tx, key, state, step);
          if (open === undefined) return answer;
          const before = new Map(state.bindings.map(({ bindingId, counter }) => [bindingId, counter]));
          const after = open.bindings.map(({ bindingId, counter }) => [bindingId, counter] as const);
          await openHold(tx, key, open, counterChanges(before, after));
          return answer;
        }),
      ),

    settle: async (key, close) => {
      await database.within(key, (tx) => closeHolds(tx, key.namespaceId, lockedOf(key), close));
    },

    void: (key, close) =>
      againIfOvertaken(() =>
        database.within(key, async (tx) => {
          const holds = await closeHolds(tx, key.namespaceId, lockedOf(key), close);
          if (holds.length === 0) await voidUnopened(tx, key);
        }),
      ),

    expireOverdue: async (namespaceId, close) => {
      await database.within({ namespaceId }, (tx) => closeHolds(tx, namespaceId, overdue(SWEEP_SIZE), close));
    },
  };
}

/**
 * Whether the request has a hold was asked before the counters were waited for. One that has been opened since would be in
 * the way when another is, but a refusal would not notice.
 */
async function stepOn<T>(
  tx: Tx,
  key: HoldKey,
  state: AdmissionState,
  step: (state: AdmissionState) => AdmissionStep<T>,
): Promise<AdmissionStep<T>> {
  const first = step(state);
  if (first.open !== undefined || state.hold !== undefined || state.bindings.length === 0) return first;
  const hold = await readHold(tx, key);
  return hold === undefined ? first : step({ ...state, hold });
}

/** @returns the holds as they were */
async function closeHolds(
  tx: Tx,
  namespaceId: HoldKey["namespaceId"],
  which: RawBuilder<unknown>,
  close: CloseHold,
): Promise<readonly Hold[]> {
  const holds = await lockHolds(tx, namespaceId, which);
  if (holds.length === 0) return holds;
  const bindingIds = holds.flatMap(({ budgetBindingIds, rateBindingIds }) => [...budgetBindingIds, ...rateBindingIds]);
  const { counters, now } = await lockCounters(tx, namespaceId, [...new Set(bindingIds)]);
  const closed = holds.flatMap((hold): ClosedHold[] => {
    const change = close(hold, now);
    return change === undefined ? [] : [{ hold, change }];
  });
  if (closed.length === 0) return holds;
  const after = closed.reduce((all, { hold, change }) => closeOn(all, hold, change, now), counters);
  await writeClosed(tx, namespaceId, closed, counterChanges(counters, after), now);
  return holds;
}

const MAX_ATTEMPTS = 10;

/** Seen from the start again, if a hold was opened or a binding was taken away while this waited. */
async function againIfOvertaken<T>(transaction: () => Promise<T>, attemptsLeft = MAX_ATTEMPTS): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    const overtaken = error instanceof CounterGone || isUniqueViolation(error, "holds_pkey");
    if (!overtaken || attemptsLeft <= 1) throw error;
    return againIfOvertaken(transaction, attemptsLeft - 1);
  }
}
