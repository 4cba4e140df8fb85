/**
 * Ledger: reservations and counters in Postgres. It keeps settled + reserved within every budget, and every rate limit, over any
 * number of processes.
 *
 * Steps of an admission (`admitAll`), in one transaction:
 * 1. Lock the gateway sessions of the requests, so that none ends meanwhile, then the counters of all limits that apply to the lineages
 *    (`lockApplied`). One row for each binding has all that a decision needs, however much was spent.
 * 2. Read the idempotency keys in use, and the reservations that the requests have already.
 * 3. Decide on the requests one after the other, each on the counters that those before it leave (`decideAll`).
 * 4. Write all new reservations and changed counters in one statement, or nothing.
 *
 * Steps of a settlement, a release or an expiry (`endReservations`), in one transaction: lock the reservations, lock their
 * counters, compute the changes, write both in one statement.
 *
 * Concurrency: a counter changes only under the lock of its row, and the clock is the database's, read once the locks are held.
 * Locks are taken in one order, so that no two transactions wait for each other: reservations in order of key and request id (an
 * expiry skips locked ones), then counters in order of binding id. An admission starts with the counters, because its
 * reservation does not exist yet or is only read. Calls of one namespace wait for the same rows; those that wait share a
 * transaction (`batcher.ts`).
 *
 * Failures: a transaction happens as a whole or not at all; locks end with the connection. A concurrent insert of the same
 * reservation, or a binding that was removed during the wait for locks, runs the transaction again (`retryOnConflict`). A policy
 * or counter that cannot be read throws: no limit is ever skipped. After UNAVAILABLE a call may have happened and can be
 * repeated.
 */
import type { Database, Transaction } from "@routeplane/postgres";
import { DomainError, type Id } from "@routeplane/domain";
import { endOnCounters, type Reservation } from "../domain/admission/reservation.ts";
import type {
  AdmissionDecision,
  AdmissionState,
  EndReservation,
  Ledger,
  NewReservation,
  ReservationKey,
  ReservationRequest,
} from "../domain/ports.ts";
import { createBatcher, type Outcome } from "./batcher.ts";
import {
  lockApplied,
  lockCounters,
  lockDueForExpiry,
  lockOpenSessions,
  lockReservations,
  readReservations,
  readUsedIdempotencyKeys,
  type Reservations,
  type UsedIdempotencyKeys,
} from "./ledger-reads.ts";
import {
  counterChanges,
  type EndedReservation,
  insertReleased,
  insertReservations,
  writeEnded,
} from "./ledger-writes.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Number of reservations that one call expires at most: it bounds how long the admission that calls for it waits. */
const EXPIRY_SIZE = 100;

interface AdmissionCall extends ReservationRequest {
  readonly decide: (state: AdmissionState) => AdmissionDecision<unknown>;
}

interface SettlementCall {
  readonly key: ReservationKey;
  readonly end: EndReservation;
}

export function createLedger(database: Database<PolicySchema>): Ledger {
  const batchKeyOf = ({ key }: { readonly key: ReservationKey }): string => key.namespaceId;
  const idOf = ({ key }: { readonly key: ReservationKey }): string => `${key.keyId} ${key.requestId}`;
  const admit = createBatcher<AdmissionCall, unknown>({
    batchKeyOf,
    idOf: (call) => (call.idempotencyKey === undefined ? idOf(call) : `${call.key.keyId} = ${call.idempotencyKey}`),
    run: (calls) => retryOnConflict(() => database.within(scopeOf(calls), (tx) => admitAll(tx, calls))),
  });
  const settle = createBatcher<SettlementCall, undefined>({
    batchKeyOf,
    idOf,
    run: (calls) => database.within(scopeOf(calls), (tx) => settleAll(tx, calls)),
  });
  return {
    admit: <T>(request: ReservationRequest, decide: (state: AdmissionState) => AdmissionDecision<T>) =>
      admit({ ...request, decide }) as Promise<T>,

    settle: (key, end) => settle({ key, end }),

    void: (key, end) =>
      retryOnConflict(() =>
        database.within(key, async (tx) => {
          const { all } = await lockReservations(tx, key.namespaceId, [key]);
          await endReservations(tx, key.namespaceId, all, end);
          if (all.length === 0) await insertReleased(tx, key);
        }),
      ),

    expireDue: (namespaceId, end) =>
      database.within({ namespaceId }, async (tx) => {
        await endReservations(tx, namespaceId, await lockDueForExpiry(tx, namespaceId, EXPIRY_SIZE), end);
      }),
  };
}

/** Namespace of a batch, which all of its calls share. */
function scopeOf(calls: readonly { readonly key: ReservationKey }[]): { readonly namespaceId: Id<"ns"> } {
  const [first] = calls;
  if (first === undefined) throw new Error("a batch without calls");
  return first.key;
}

async function admitAll(tx: Tx, calls: readonly AdmissionCall[]): Promise<readonly Outcome<unknown>[]> {
  const { namespaceId } = scopeOf(calls);
  const keys = calls.map(({ key }) => key);
  const isOpen = await lockOpenSessions(
    tx,
    calls.flatMap(({ sessionId }) => sessionId ?? []),
  );
  const applied = await lockApplied(tx, namespaceId, keys, [
    ...new Set([namespaceId, ...calls.flatMap(({ lineage }) => lineage)]),
  ]);
  const usedKeys = await readUsedIdempotencyKeys(tx, namespaceId, calls);
  const existing = applied.known ? await readReservations(tx, namespaceId, keys) : undefined;
  let decided = decideAll(calls, isOpen, applied, usedKeys, existing);
  // `applied.known` is as of before the wait for the counters. A reservation that was written since would conflict with the
  // insert of another one, but a denial inserts nothing and would not notice.
  if (existing === undefined && applied.bindings.length > 0 && decided.inserted.length < calls.length) {
    const written = await readReservations(tx, namespaceId, keys);
    if (written.all.length > 0) decided = decideAll(calls, isOpen, applied, usedKeys, written);
  }
  if (decided.inserted.length > 0) {
    const changes = counterChanges(countersOf(applied.bindings), decided.after);
    await insertReservations(tx, namespaceId, decided.inserted, changes);
  }
  return decided.outcomes;
}

type LockedLimits = Pick<AdmissionState, "now" | "bindings" | "outstanding" | "isExpiryDue">;

/** Decides on the calls in order, each on the counters that those before it leave. */
function decideAll(
  calls: readonly AdmissionCall[],
  isOpen: (sessionId: Id<"gws">) => boolean,
  { now, bindings, outstanding, isExpiryDue }: LockedLimits,
  usedKeys: UsedIdempotencyKeys,
  existing: Reservations | undefined,
) {
  const after: ReturnType<typeof countersOf> = new Map();
  const inserted: (readonly [ReservationRequest, NewReservation])[] = [];
  const outcomes = calls.map((call): Outcome<unknown> => {
    const { key, lineage, sessionId, decide } = call;
    if (sessionId !== undefined && !isOpen(sessionId)) return { error: sessionEnded() };
    const principals = new Set<string>([key.namespaceId, ...lineage]);
    const ofLineage = bindings.flatMap((binding) =>
      principals.has(binding.principal.id)
        ? [{ ...binding, counter: after.get(binding.bindingId) ?? binding.counter }]
        : [],
    );
    try {
      const { result, reservation } = decide({
        now,
        isExpiryDue,
        outstanding,
        bindings: ofLineage,
        reservation: existing?.of(key),
        idempotencyKeyUsedBy: usedKeys.byOther(call),
      });
      if (reservation === undefined) return { result };
      inserted.push([call, reservation]);
      for (const { bindingId, counter } of reservation.bindings) after.set(bindingId, counter);
      return { result };
    } catch (error) {
      return { error };
    }
  });
  return { outcomes, inserted, after };
}

function sessionEnded(): DomainError {
  return new DomainError("failed_precondition", "SESSION_ENDED", "the gateway session is not open");
}

function countersOf(bindings: AdmissionState["bindings"]) {
  return new Map(bindings.map(({ bindingId, counter }) => [bindingId, counter]));
}

async function settleAll(tx: Tx, calls: readonly SettlementCall[]): Promise<readonly Outcome<undefined>[]> {
  const { namespaceId } = scopeOf(calls);
  const reservations = await lockReservations(
    tx,
    namespaceId,
    calls.map(({ key }) => key),
  );
  const ends = new Map(calls.map(({ key, end }) => [reservations.of(key), end]));
  await endReservations(tx, namespaceId, reservations.all, (reservation, now) =>
    ends.get(reservation)?.(reservation, now),
  );
  return calls.map(() => ({ result: undefined }));
}

async function endReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  reservations: readonly Reservation[],
  end: EndReservation,
): Promise<void> {
  if (reservations.length === 0) return;
  const bindingIds = reservations.flatMap(({ budgetBindingIds, rateBindingIds }) => [
    ...budgetBindingIds,
    ...rateBindingIds,
  ]);
  const { counters, now } = await lockCounters(tx, namespaceId, [...new Set(bindingIds)]);
  const ended = reservations.flatMap((reservation): EndedReservation[] => {
    const change = end(reservation, now);
    return change === undefined ? [] : [{ reservation, change }];
  });
  if (ended.length === 0) return;
  const after = ended.reduce(
    (current, { reservation, change }) => endOnCounters(current, reservation, change, now),
    counters,
  );
  await writeEnded(tx, namespaceId, ended, counterChanges(counters, after), now);
}
