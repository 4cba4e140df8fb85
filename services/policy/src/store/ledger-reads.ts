import type { Counter } from "@routeplane/admission";
import { type Id, idBound } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, type Selectable, sql } from "kysely";
import type { Reservation } from "../domain/admission/reservation.ts";
import { type AppliedLimits, limitsOf } from "../domain/admission/applied-limits.ts";
import type { Outstanding, ReservationRequest, ReservationKey } from "../domain/ports.ts";
import { fromCounterRow } from "./counters.ts";
import { fromReservationRow, fromPrincipalColumns } from "./convert-rows.ts";
import type { PolicySchema } from "./schema.ts";
import { fromSpecColumns } from "./convert-spec.ts";

type Tx = Transaction<PolicySchema>;
type CounterRow = Selectable<PolicySchema["counters"]>;
type BindingRow = Selectable<PolicySchema["bindings"]>;

/** Counters whose rows are locked, by binding. */
export type LockedCounters = ReadonlyMap<Id<"bnd">, Counter>;

interface AppliedRow
  extends Pick<BindingRow, "principal_type" | "principal_id" | "mode">, Omit<CounterRow, "binding_id"> {
  readonly binding_id: Id<"bnd"> | null;
  readonly policy_id: Id<"pol">;
  readonly name: string;
  readonly kind: string;
  readonly spec: unknown;
  /** Binding id of the locked counter; null if the binding has no counter. */
  readonly counted: Id<"bnd"> | null;
  /** Outstanding in slices; null for none. */
  readonly outstanding_nano: bigint | null;
  readonly outstanding_slots: bigint | null;
  /** True if one of the requests has a reservation. */
  readonly known: boolean;
  /** True if open reservations of the namespace are due to expire. */
  readonly expiry_due: boolean;
  readonly now: Date;
}

/**
 * Locks the counters of every enabled policy that is bound to one of these principals. A locked counter is read as it was
 * committed last; everything else, also whether a request has a reservation, is read as of before the wait for the locks.
 *
 * @throws CounterMissing if a binding has no counter, because it was removed during the wait
 * @throws Error if a policy or a counter cannot be read: the requests that it applies to must be refused
 */
export async function lockApplied(
  tx: Tx,
  namespaceId: Id<"ns">,
  keys: readonly ReservationKey[],
  principalIds: readonly string[],
) {
  const { rows } = await sql<AppliedRow>`
    with applied as (
      select b.id, b.principal_type, b.principal_id, b.mode, p.id as policy_id, p.name, p.kind, p.spec
      from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
      where b.namespace_id = ${namespaceId} and b.principal_id = any(${principalIds})
        and p.disabled_at is null and p.kind <> 'guardrail'
    ), locked as materialized (
      select * from counters
      where namespace_id = ${namespaceId} and binding_id = any(array(select id from applied))
      order by binding_id for no key update
    )
    select locked.*, locked.binding_id as counted, applied.*, applied.id as binding_id, clock_timestamp() as now, sliced.*,
      exists (select from holds where ${isOfRequests(namespaceId, keys)}) as known,
      exists (select from holds where namespace_id = ${namespaceId} and state = 'open'
              and expires_at <= statement_timestamp() and ${isRecent(Date.now())}) as expiry_due
    from (select) always left join applied on true left join locked on locked.binding_id = applied.id
    left join lateral (
      select sum(granted - returned - used) filter (where dimension = 'money') as outstanding_nano,
        sum(granted - returned - used) filter (where dimension = 'concurrent') as outstanding_slots
      from slices where namespace_id = ${namespaceId} and binding_id = applied.id and granted > returned + used
    ) as sliced on true
    order by applied.id`.execute(tx);
  const bindings = rows.flatMap((row) => toAppliedLimits(row) ?? []);
  const { known = false, expiry_due: isExpiryDue = false } = rows[0] ?? {};
  const outstanding = new Map<Id<"bnd">, Outstanding>();
  for (const { binding_id: id, outstanding_nano: nano, outstanding_slots: slots } of rows)
    if (id !== null && (nano !== null || slots !== null)) outstanding.set(id, { nano: nano ?? 0n, slots: slots ?? 0n });
  return { bindings, outstanding, known, isExpiryDue, now: latest(rows) ?? new Date(0) };
}

/** Locks gateway sessions for share. @returns a function that says if a session is open and not left */
export async function lockOpenSessions(
  tx: Tx,
  sessionIds: readonly Id<"gws">[],
): Promise<(sessionId: Id<"gws">) => boolean> {
  if (sessionIds.length === 0) return () => false;
  const { rows } = await sql<{ readonly id: Id<"gws"> }>`
    select id from gateway_sessions where id = any(${[...new Set(sessionIds)]}) and state = 'open' and left_at is null
    order by id for share`.execute(tx);
  const open = new Set(rows.map(({ id }) => id));
  return (sessionId) => open.has(sessionId);
}

function toAppliedLimits(row: AppliedRow): AppliedLimits | undefined {
  if (row.binding_id === null) return undefined;
  const limits = limitsOf(fromSpecColumns(row.policy_id, row));
  if (limits === undefined) return undefined;
  if (row.counted === null) throw new CounterMissing(row.binding_id);
  return {
    bindingId: row.binding_id,
    principal: fromPrincipalColumns(row),
    policyId: row.policy_id,
    policyName: row.name,
    shadow: row.mode === "shadow",
    limits,
    counter: fromCounterRow(row),
  };
}

/** Error for a binding without a counter. */
export class CounterMissing extends Error {
  override readonly name = "CounterMissing";

  constructor(bindingId: string) {
    super(`binding ${bindingId} has no counter`);
  }
}

/** Reservations that were read for a list of requests. */
export interface Reservations {
  /** Reservations in order of key and request id. */
  readonly all: readonly Reservation[];
  /** Reservation of one request; undefined if it has none. */
  of(key: ReservationKey): Reservation | undefined;
}

/** Locks the reservations of these requests and reads them as they are once locked. */
export function lockReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  keys: readonly ReservationKey[],
): Promise<Reservations> {
  return selectReservations(tx, namespaceId, keys, sql`for no key update`);
}

export function readReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  keys: readonly ReservationKey[],
): Promise<Reservations> {
  return selectReservations(tx, namespaceId, keys, sql``);
}

/** Locks open reservations that are due to expire, in order of expiry. Rows that another transaction has locked are skipped. */
export async function lockDueForExpiry(
  tx: Tx,
  namespaceId: Id<"ns">,
  maxCount: number,
): Promise<readonly Reservation[]> {
  const { rows } = await sql<Selectable<PolicySchema["holds"]>>`
    select * from holds where namespace_id = ${namespaceId} and state = 'open' and expires_at <= statement_timestamp()
    order by expires_at limit ${maxCount} for no key update skip locked`.execute(tx);
  return rows.map(fromReservationRow);
}

/** Locks the counters of these bindings, in order of binding id. Bindings that do not exist any more are left out. */
export async function lockCounters(tx: Tx, namespaceId: Id<"ns">, bindingIds: readonly Id<"bnd">[]) {
  const { rows } = await sql<CounterRow & { readonly now: Date }>`
    with locked as materialized (
      select * from counters where namespace_id = ${namespaceId} and binding_id = any(${bindingIds})
      order by binding_id for no key update
    )
    select locked.*, clock_timestamp() as now from (select) always left join locked on true`.execute(tx);
  const counters: LockedCounters = new Map(
    rows.flatMap((row) => (row.binding_id === null ? [] : [[row.binding_id, fromCounterRow(row)] as const])),
  );
  return { counters, now: latest(rows) ?? new Date(0) };
}

/** Reads reservations in order of key and request id, which is the order of locks. */
async function selectReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  keys: readonly ReservationKey[],
  locking: RawBuilder<unknown>,
): Promise<Reservations> {
  const { rows } = await sql<Selectable<PolicySchema["holds"]>>`
    select * from holds where ${isOfRequests(namespaceId, keys)} order by key_id, request_id ${locking}`.execute(tx);
  const asked = new Set(keys.flatMap(({ keyId, requestId }) => [`${keyId} ${requestId}`, ` ${requestId}`]));
  const byId = new Map(
    rows.flatMap((row) => {
      const name = `${row.key_id} ${row.request_id}`;
      return asked.has(name) ? [[name, fromReservationRow(row)] as const] : [];
    }),
  );
  const of = ({ keyId, requestId }: ReservationKey) => byId.get(`${keyId} ${requestId}`) ?? byId.get(` ${requestId}`);
  return { all: [...byId.values()], of };
}

/** Finds the requests, not voided, that have the idempotency keys of these requests. */
export async function readUsedIdempotencyKeys(
  tx: Tx,
  namespaceId: Id<"ns">,
  requests: readonly ReservationRequest[],
): Promise<UsedIdempotencyKeys> {
  const named = requests.filter(({ idempotencyKey }) => idempotencyKey !== undefined);
  if (named.length === 0) return { byOther: () => undefined };
  const { rows } = await sql<Selectable<PolicySchema["holds"]>>`
    select holds.* from unnest(${named.map(({ key }) => key.keyId)}::text[],
      ${named.map(({ idempotencyKey }) => idempotencyKey)}::text[]) as r (key_id, idempotency_key)
    join holds on namespace_id = ${namespaceId} and holds.key_id = r.key_id
      and holds.idempotency_key = r.idempotency_key and state <> 'voided'`.execute(tx);
  const byKey = new Map(rows.map((row) => [`${row.key_id} ${row.idempotency_key}`, row.request_id]));
  return {
    byOther({ key: { keyId, requestId }, idempotencyKey }) {
      const usedBy = byKey.get(`${keyId} ${idempotencyKey}`);
      return usedBy === requestId ? undefined : usedBy;
    },
  };
}

export interface UsedIdempotencyKeys {
  /** Id of another request that has the idempotency key of `request`; undefined if there is none. */
  byOther(request: ReservationRequest): Id<"req"> | undefined;
}

/**
 * Condition for the reservations of requests: under one of their keys, or under none, as an earlier version wrote them. It can also match
 * the reservation of a request under the key of another one.
 *
 * The bounds of all ids are redundant, but let Postgres prune the other partitions before a statement starts. It must not prune for each
 * request, as in a join: if a row that a statement locks was changed while it waited, Postgres 18 numbers the remaining partitions a second
 * time, and from then on finds none of the rows, or crashes.
 */
function isOfRequests(namespaceId: Id<"ns">, keys: readonly ReservationKey[]): RawBuilder<unknown> {
  const keyIds = [...new Set(["", ...keys.map(({ keyId }) => keyId)])];
  const ids = keys.map(({ requestId }) => requestId).toSorted();
  return sql`namespace_id = ${namespaceId} and key_id = any(${keyIds}::text[]) and request_id = any(${ids}::text[])
    and request_id >= ${ids[0] ?? ""} and request_id <= ${ids.at(-1) ?? ""}`;
}

/** Time of request ids, before and after now, in which an admission looks for what is due to expire. A job expires the others. */
const RECENT_MS = 24 * 60 * 60 * 1000;

/** Condition for reservations of two to three partitions, so that no statement reads all of them. */
function isRecent(now: number): RawBuilder<unknown> {
  return sql`request_id >= ${idBound("req", now - RECENT_MS)} and request_id < ${idBound("req", now + RECENT_MS)}`;
}

/** Moment at which the last row was read, and so the last lock was taken. */
function latest(rows: readonly { readonly now: Date }[]): Date | undefined {
  return rows.reduce<Date | undefined>((last, { now }) => (last === undefined || now > last ? now : last), undefined);
}
