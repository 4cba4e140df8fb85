/**
 * Holds, and what limits have counted. Every change of a counter is made under the lock of its row, which holds all that a
 * decision needs: one row for each binding, whatever was spent. Locks are taken in one order, so that no two transactions
 * wait for each other: first holds, in order of key and request id (a sweep waits for none), then counters in order of
 * binding id. An admission starts with the counters: its hold is not there yet, or is only read.
 */
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { Id } from "@routeplane/domain";
import { endOnCounters, type Reservation } from "../domain/admission/reservation.ts";
import type {
  AdmissionState,
  AdmissionDecision,
  ReservationRequest,
  EndReservation,
  ReservationKey,
  Ledger,
  NewReservation,
} from "../domain/ports.ts";
import { createBatcher, type Outcome } from "./batcher.ts";
import {
  CounterMissing,
  type Reservations,
  lockApplied,
  lockCounters,
  lockReservations,
  lockDueForExpiry,
  readReservations,
  readUsedIdempotencyKeys,
  type UsedIdempotencyKeys,
} from "./ledger-reads.ts";
import {
  type EndedReservation,
  counterChanges,
  insertReservations,
  insertReleased,
  writeEnded,
} from "./ledger-writes.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Holds that one sweep ends at most: it bounds how long the admission that sweeps waits. */
const SWEEP_SIZE = 100;

interface AdmissionCall extends ReservationRequest {
  readonly step: (state: AdmissionState) => AdmissionDecision<unknown>;
}

interface SettlementCall {
  readonly key: ReservationKey;
  readonly close: EndReservation;
}

/** Admissions, and settlements, of one namespace wait for the same rows: as many as wait share a transaction. */
export function createLedger(database: Database<PolicySchema>): Ledger {
  const laneOf = ({ key }: { readonly key: ReservationKey }): string => key.namespaceId;
  const idOf = ({ key }: { readonly key: ReservationKey }): string => `${key.keyId} ${key.requestId}`;
  const admit = createBatcher<AdmissionCall, unknown>({
    batchKeyOf: laneOf,
    idOf: (call) => (call.idempotencyKey === undefined ? idOf(call) : `${call.key.keyId} = ${call.idempotencyKey}`),
    run: (calls) => retryOnConflict(() => database.within(scopeOf(calls), (tx) => admitAll(tx, calls))),
  });
  const settle = createBatcher<SettlementCall, undefined>({
    batchKeyOf: laneOf,
    idOf,
    run: (calls) => database.within(scopeOf(calls), (tx) => settleAll(tx, calls)),
  });
  return {
    admit: <T>(asking: ReservationRequest, step: (state: AdmissionState) => AdmissionDecision<T>) =>
      admit({ ...asking, step }) as Promise<T>,

    settle: (key, close) => settle({ key, close }),

    void: (key, close) =>
      retryOnConflict(() =>
        database.within(key, async (tx) => {
          const { all } = await lockReservations(tx, key.namespaceId, [key]);
          await endReservations(tx, key.namespaceId, all, close);
          if (all.length === 0) await insertReleased(tx, key);
        }),
      ),

    expireDue: (namespaceId, close) =>
      database.within({ namespaceId }, async (tx) => {
        await endReservations(tx, namespaceId, await lockDueForExpiry(tx, namespaceId, SWEEP_SIZE), close);
      }),
  };
}

/** Calls of one batch are of one namespace. */
function scopeOf(calls: readonly { readonly key: ReservationKey }[]): { readonly namespaceId: Id<"ns"> } {
  const [first] = calls;
  if (first === undefined) throw new Error("a batch without calls");
  return first.key;
}

async function admitAll(tx: Tx, calls: readonly AdmissionCall[]): Promise<readonly Outcome<unknown>[]> {
  const { namespaceId } = scopeOf(calls);
  const keys = calls.map(({ key }) => key);
  const applied = await lockApplied(tx, namespaceId, keys, [
    ...new Set([namespaceId, ...calls.flatMap(({ lineage }) => lineage)]),
  ]);
  const usedKeys = await readUsedIdempotencyKeys(tx, namespaceId, calls);
  const holds = applied.known ? await readReservations(tx, namespaceId, keys) : undefined;
  let decided = decideAll(calls, applied, usedKeys, holds);
  // Whether there are holds was asked before the counters were waited for. One that has been opened since would be in the way
  // when another is, but a refusal would not notice.
  if (holds === undefined && applied.bindings.length > 0 && decided.opened.length < calls.length) {
    const opened = await readReservations(tx, namespaceId, keys);
    if (opened.all.length > 0) decided = decideAll(calls, applied, usedKeys, opened);
  }
  if (decided.opened.length > 0) {
    await insertReservations(
      tx,
      namespaceId,
      decided.opened,
      counterChanges(countersOf(applied.bindings), decided.after),
    );
  }
  return decided.outcomes;
}

type Applied = Pick<AdmissionState, "now" | "bindings" | "isExpiryDue">;

/** One after the other, each on what those before it have left. */
function decideAll(
  calls: readonly AdmissionCall[],
  { now, bindings, isExpiryDue }: Applied,
  usedKeys: UsedIdempotencyKeys,
  holds: Reservations | undefined,
) {
  const counters = countersOf(bindings);
  const after: typeof counters = new Map();
  const opened: (readonly [ReservationRequest, NewReservation])[] = [];
  const outcomes = calls.map((call): Outcome<unknown> => {
    const { key, lineage, step } = call;
    const principals = new Set<string>([key.namespaceId, ...lineage]);
    const own = bindings.flatMap((binding) =>
      principals.has(binding.principal.id)
        ? [{ ...binding, counter: after.get(binding.bindingId) ?? binding.counter }]
        : [],
    );
    try {
      const { result, reservation } = step({
        now,
        isExpiryDue,
        bindings: own,
        reservation: holds?.of(key),
        idempotencyKeyUsedBy: usedKeys.byOther(call),
      });
      if (reservation === undefined) return { result };
      opened.push([call, reservation]);
      for (const { bindingId, counter } of reservation.bindings) after.set(bindingId, counter);
      return { result };
    } catch (error) {
      return { error };
    }
  });
  return { outcomes, opened, after };
}

function countersOf(bindings: AdmissionState["bindings"]) {
  return new Map(bindings.map(({ bindingId, counter }) => [bindingId, counter]));
}

async function settleAll(tx: Tx, calls: readonly SettlementCall[]): Promise<readonly Outcome<undefined>[]> {
  const { namespaceId } = scopeOf(calls);
  const holds = await lockReservations(
    tx,
    namespaceId,
    calls.map(({ key }) => key),
  );
  const closes = new Map(calls.map(({ key, close }) => [holds.of(key), close]));
  await endReservations(tx, namespaceId, holds.all, (hold, now) => closes.get(hold)?.(hold, now));
  return calls.map(() => ({ result: undefined }));
}

async function endReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  holds: readonly Reservation[],
  close: EndReservation,
): Promise<void> {
  if (holds.length === 0) return;
  const bindingIds = holds.flatMap(({ budgetBindingIds, rateBindingIds }) => [...budgetBindingIds, ...rateBindingIds]);
  const { counters, now } = await lockCounters(tx, namespaceId, [...new Set(bindingIds)]);
  const closed = holds.flatMap((hold): EndedReservation[] => {
    const change = close(hold, now);
    return change === undefined ? [] : [{ hold, change }];
  });
  if (closed.length === 0) return;
  const after = closed.reduce((all, { hold, change }) => endOnCounters(all, hold, change, now), counters);
  await writeEnded(tx, namespaceId, closed, counterChanges(counters, after), now);
}

const MAX_ATTEMPTS = 10;
/** What another transaction's hold is in the way of. */
const CONFLICTING_INDEXES = ["holds_pkey", "holds_idempotency_key"];

/** Seen from the start again, if a hold was opened or a binding was taken away while this waited. */
async function retryOnConflict<T>(transaction: () => Promise<T>, attemptsLeft = MAX_ATTEMPTS): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    const overtaken =
      error instanceof CounterMissing || CONFLICTING_INDEXES.some((name) => isUniqueViolation(error, name));
    if (!overtaken || attemptsLeft <= 1) throw error;
    return retryOnConflict(transaction, attemptsLeft - 1);
  }
}
