/**
 * Holds, and what limits have counted. Every change of a counter is made under the lock of its row, which holds all that a
 * decision needs: one row for each binding, whatever was spent. Locks are taken in one order, so that no two transactions
 * wait for each other: first holds, in order of key and request id (a sweep waits for none), then counters in order of
 * binding id. An admission starts with the counters: its hold is not there yet, or is only read.
 */
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { Id } from "@routeplane/domain";
import { closeOn, type Hold } from "../domain/hold.ts";
import type { AdmissionState, AdmissionStep, Asking, CloseHold, HoldKey, Ledger, OpenedHold } from "../domain/ports.ts";
import { inBatches, type Outcome } from "./in-batches.ts";
import {
  CounterGone,
  type Holds,
  lockApplied,
  lockCounters,
  lockHolds,
  lockOverdue,
  readHolds,
  readUsedKeys,
  type UsedKeys,
} from "./ledger-reads.ts";
import { type ClosedHold, counterChanges, openHolds, voidUnopened, writeClosed } from "./ledger-writes.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Holds that one sweep ends at most: it bounds how long the admission that sweeps waits. */
const SWEEP_SIZE = 100;

interface Admitting extends Asking {
  readonly step: (state: AdmissionState) => AdmissionStep<unknown>;
}

interface Settling {
  readonly key: HoldKey;
  readonly close: CloseHold;
}

/** Admissions, and settlements, of one namespace wait for the same rows: as many as wait share a transaction. */
export function createLedger(database: Database<PolicySchema>): Ledger {
  const laneOf = ({ key }: { readonly key: HoldKey }): string => key.namespaceId;
  const idOf = ({ key }: { readonly key: HoldKey }): string => `${key.keyId} ${key.requestId}`;
  const admit = inBatches<Admitting, unknown>({
    laneOf,
    idOf: (call) => (call.idempotencyKey === undefined ? idOf(call) : `${call.key.keyId} = ${call.idempotencyKey}`),
    run: (calls) => againIfOvertaken(() => database.within(scopeOf(calls), (tx) => admitAll(tx, calls))),
  });
  const settle = inBatches<Settling, undefined>({
    laneOf,
    idOf,
    run: (calls) => database.within(scopeOf(calls), (tx) => settleAll(tx, calls)),
  });
  return {
    admit: <T>(asking: Asking, step: (state: AdmissionState) => AdmissionStep<T>) =>
      admit({ ...asking, step }) as Promise<T>,

    settle: (key, close) => settle({ key, close }),

    void: (key, close) =>
      againIfOvertaken(() =>
        database.within(key, async (tx) => {
          const { all } = await lockHolds(tx, key.namespaceId, [key]);
          await closeHolds(tx, key.namespaceId, all, close);
          if (all.length === 0) await voidUnopened(tx, key);
        }),
      ),

    expireOverdue: (namespaceId, close) =>
      database.within({ namespaceId }, async (tx) => {
        await closeHolds(tx, namespaceId, await lockOverdue(tx, namespaceId, SWEEP_SIZE), close);
      }),
  };
}

/** Calls of one batch are of one namespace. */
function scopeOf(calls: readonly { readonly key: HoldKey }[]): { readonly namespaceId: Id<"ns"> } {
  const [first] = calls;
  if (first === undefined) throw new Error("a batch without calls");
  return first.key;
}

async function admitAll(tx: Tx, calls: readonly Admitting[]): Promise<readonly Outcome<unknown>[]> {
  const { namespaceId } = scopeOf(calls);
  const keys = calls.map(({ key }) => key);
  const applied = await lockApplied(tx, namespaceId, keys, [
    ...new Set([namespaceId, ...calls.flatMap(({ lineage }) => lineage)]),
  ]);
  const usedKeys = await readUsedKeys(tx, namespaceId, calls);
  const holds = applied.known ? await readHolds(tx, namespaceId, keys) : undefined;
  let decided = decideAll(calls, applied, usedKeys, holds);
  // Whether there are holds was asked before the counters were waited for. One that has been opened since would be in the way
  // when another is, but a refusal would not notice.
  if (holds === undefined && applied.bindings.length > 0 && decided.opened.length < calls.length) {
    const opened = await readHolds(tx, namespaceId, keys);
    if (opened.all.length > 0) decided = decideAll(calls, applied, usedKeys, opened);
  }
  if (decided.opened.length > 0) {
    await openHolds(tx, namespaceId, decided.opened, counterChanges(countersOf(applied.bindings), decided.after));
  }
  return decided.outcomes;
}

type Applied = Pick<AdmissionState, "now" | "bindings" | "overdue">;

/** One after the other, each on what those before it have left. */
function decideAll(
  calls: readonly Admitting[],
  { now, bindings, overdue }: Applied,
  usedKeys: UsedKeys,
  holds: Holds | undefined,
) {
  const counters = countersOf(bindings);
  const after: typeof counters = new Map();
  const opened: (readonly [Asking, OpenedHold])[] = [];
  const outcomes = calls.map((call): Outcome<unknown> => {
    const { key, lineage, step } = call;
    const principals = new Set<string>([key.namespaceId, ...lineage]);
    const own = bindings.flatMap((binding) =>
      principals.has(binding.principal.id)
        ? [{ ...binding, counter: after.get(binding.bindingId) ?? binding.counter }]
        : [],
    );
    try {
      const { answer, open } = step({
        now,
        overdue,
        bindings: own,
        hold: holds?.of(key),
        usedBy: usedKeys.byOther(call),
      });
      if (open === undefined) return { answer };
      opened.push([call, open]);
      for (const { bindingId, counter } of open.bindings) after.set(bindingId, counter);
      return { answer };
    } catch (error) {
      return { error };
    }
  });
  return { outcomes, opened, after };
}

function countersOf(bindings: AdmissionState["bindings"]) {
  return new Map(bindings.map(({ bindingId, counter }) => [bindingId, counter]));
}

async function settleAll(tx: Tx, calls: readonly Settling[]): Promise<readonly Outcome<undefined>[]> {
  const { namespaceId } = scopeOf(calls);
  const holds = await lockHolds(
    tx,
    namespaceId,
    calls.map(({ key }) => key),
  );
  const closes = new Map(calls.map(({ key, close }) => [holds.of(key), close]));
  await closeHolds(tx, namespaceId, holds.all, (hold, now) => closes.get(hold)?.(hold, now));
  return calls.map(() => ({ answer: undefined }));
}

async function closeHolds(tx: Tx, namespaceId: Id<"ns">, holds: readonly Hold[], close: CloseHold): Promise<void> {
  if (holds.length === 0) return;
  const bindingIds = holds.flatMap(({ budgetBindingIds, rateBindingIds }) => [...budgetBindingIds, ...rateBindingIds]);
  const { counters, now } = await lockCounters(tx, namespaceId, [...new Set(bindingIds)]);
  const closed = holds.flatMap((hold): ClosedHold[] => {
    const change = close(hold, now);
    return change === undefined ? [] : [{ hold, change }];
  });
  if (closed.length === 0) return;
  const after = closed.reduce((all, { hold, change }) => closeOn(all, hold, change, now), counters);
  await writeClosed(tx, namespaceId, closed, counterChanges(counters, after), now);
}

const MAX_ATTEMPTS = 10;
/** What another transaction's hold is in the way of. */
const OVERTAKING = ["holds_pkey", "holds_idempotency_key"];

/** Seen from the start again, if a hold was opened or a binding was taken away while this waited. */
async function againIfOvertaken<T>(transaction: () => Promise<T>, attemptsLeft = MAX_ATTEMPTS): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    const overtaken = error instanceof CounterGone || OVERTAKING.some((name) => isUniqueViolation(error, name));
    if (!overtaken || attemptsLeft <= 1) throw error;
    return againIfOvertaken(transaction, attemptsLeft - 1);
  }
}
