import type { Counter } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import { andCommit, type Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { Reservation, ReservationChange } from "../domain/admission/reservation.ts";
import type { ReservationRequest, ReservationKey, NewReservation } from "../domain/ports.ts";
import { type RingColumns, toRingColumns } from "./counters.ts";
import type { LockedCounters } from "./ledger-reads.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Reservation as it was, and its change. */
export interface EndedReservation {
  readonly reservation: Reservation;
  readonly change: ReservationChange;
}

/** Counter whose row is locked, before and after the transaction. */
export interface CounterChange {
  readonly bindingId: Id<"bnd">;
  readonly before: Counter | undefined;
  readonly after: Counter;
}

/**
 * Writes counters and new reservations in one statement, and commits. Fails on the primary key if one of the requests has a reservation already,
 * and on `holds_idempotency_key` if another request has its idempotency key.
 */
export async function insertReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  inserted: readonly (readonly [ReservationRequest, NewReservation])[],
  counters: readonly CounterChange[],
): Promise<void> {
  const rows = inserted.map(([{ key, idempotencyKey, serviceCredentialId }, { bindings, ...reservation }]) => {
    const { keyId, requestId } = key;
    const idsOf = (limit: "budget" | "rateLimit") =>
      bindings.filter(({ limits }) => limits[limit] !== undefined).map(({ bindingId }) => bindingId);
    const on = { budgetBindingIds: idsOf("budget"), rateBindingIds: idsOf("rateLimit") };
    const row = toHoldRow({ ...reservation, ...on, keyId, requestId, state: "open", endedAt: undefined });
    return { ...row, idempotency_key: idempotencyKey, service_credential_id: serviceCredentialId };
  });
  await andCommit(sql`with ${writeCounters(namespaceId, counters)} ${insertHoldRows(namespaceId, rows)}`).execute(tx);
}

/** Inserts a voided reservation on no limit. Fails on the primary key if the request has a reservation by now. */
export async function insertReleased(tx: Tx, { namespaceId, keyId, requestId }: ReservationKey): Promise<void> {
  await sql`
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, amount_nano, output_tokens_max, expires_at,
      state, closed_at)
    values (${namespaceId}, ${keyId}, ${requestId}, '{}', 0, 0, clock_timestamp(), 'voided', clock_timestamp())
  `.execute(tx);
}

/** Inserts voided reservations on no limit, in this order. @returns the names (`keyId requestId`) of those that did not exist */
export async function insertMarks(
  tx: Tx,
  namespaceId: Id<"ns">,
  keys: readonly ReservationKey[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ readonly name: string }>`
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, amount_nano, output_tokens_max, expires_at,
      state, closed_at)
    select ${namespaceId}, r.key_id, r.request_id, '{}', 0, 0, clock_timestamp(), 'voided', clock_timestamp()
    from unnest(${keys.map(({ keyId }) => keyId)}::text[], ${keys.map(({ requestId }) => requestId)}::text[])
      as r (key_id, request_id)
    on conflict do nothing returning key_id || ' ' || request_id as name`.execute(tx);
  return new Set(rows.map(({ name }) => name));
}

/** Writes ended reservations and their counters in one statement, and commits. */
export async function writeEnded(
  tx: Tx,
  namespaceId: Id<"ns">,
  ended: readonly EndedReservation[],
  counters: readonly CounterChange[],
  now: Date,
): Promise<void> {
  await andCommit(sql`with ${writeCounters(namespaceId, counters)} ${endHoldRows(namespaceId, ended, now)}`).execute(
    tx,
  );
}

/** Update of reservations that exist, as an upsert for the reason of `writeCounters`. */
export function endHoldRows(namespaceId: Id<"ns">, ended: readonly EndedReservation[], now: Date): RawBuilder<unknown> {
  const rows = ended.map(({ reservation, change: { state, costNano } }) =>
    toHoldRow({ ...reservation, state, endedAt: now }, costNano),
  );
  return sql`
    ${insertHoldRows(namespaceId, rows)}
    on conflict (namespace_id, key_id, request_id) do update
    set state = excluded.state, closed_at = excluded.closed_at, cost_nano = excluded.cost_nano`;
}

/** Row of `holds` for JSON, which takes the arrays of several rows; integers are texts, because JSON numbers lose digits. */
function toHoldRow(reservation: Reservation, costNano?: bigint) {
  return {
    key_id: reservation.keyId,
    request_id: reservation.requestId,
    budget_binding_ids: reservation.budgetBindingIds,
    rate_binding_ids: reservation.rateBindingIds,
    amount_nano: `${reservation.reservedNano}`,
    tokens: `${reservation.tokens}`,
    output_tokens_max: `${reservation.outputTokensMax}`,
    opened_at: reservation.openedAt,
    expires_at: reservation.expiresAt,
    state: reservation.state,
    closed_at: reservation.endedAt,
    cost_nano: costNano === undefined ? undefined : `${costNano}`,
  };
}

interface HoldRow extends ReturnType<typeof toHoldRow> {
  readonly idempotency_key?: string | undefined;
  readonly service_credential_id?: Id<"svc"> | undefined;
}

function insertHoldRows(namespaceId: Id<"ns">, rows: readonly HoldRow[]): RawBuilder<unknown> {
  return sql`
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, rate_binding_ids, amount_nano, tokens,
      output_tokens_max, opened_at, expires_at, state, closed_at, cost_nano, idempotency_key, service_credential_id)
    select ${namespaceId}, r.* from json_to_recordset(${JSON.stringify(rows)}::json) as r (
      key_id text, request_id text, budget_binding_ids text[], rate_binding_ids text[], amount_nano bigint, tokens bigint,
      output_tokens_max bigint, opened_at timestamptz, expires_at timestamptz, state text, closed_at timestamptz,
      cost_nano bigint, idempotency_key text, service_credential_id text)`;
}

export function counterChanges(
  before: LockedCounters,
  after: Iterable<readonly [Id<"bnd">, Counter]>,
): readonly CounterChange[] {
  return [...after].map(([bindingId, counter]) => ({ bindingId, before: before.get(bindingId), after: counter }));
}

/**
 * Update of locked counters. It is written as an upsert, although every row exists, because an upsert finds each row by its key:
 * for an update with a join, a plan made while the table was small reads all counters of a namespace.
 */
export function writeCounters(namespaceId: Id<"ns">, changes: readonly CounterChange[]): RawBuilder<unknown> {
  const rings = (name: "spend" | "requests" | "tokens") =>
    changes.map(({ before, after }) => toRingColumns(after[name], before?.[name]));
  const numbers = (columns: readonly RingColumns[]) => columns.map((each) => each.numbers);
  const spend = rings("spend");
  return sql`counted as (
    insert into counters as c (namespace_id, binding_id, reserved_nano, open_holds, spend, spend_time_zone, requests, tokens)
    select ${namespaceId}, r.binding_id, r.reserved_nano, r.open_holds, r.spend::bigint[], r.spend_time_zone,
      r.requests::bigint[], r.tokens::bigint[]
    from unnest(
      ${changes.map(({ bindingId }) => bindingId)}::text[],
      ${changes.map(({ after }) => after.reservedNano)}::bigint[],
      ${changes.map(({ after }) => after.openReservations)}::bigint[],
      ${numbers(spend)}::text[], ${spend.map(({ timeZone }) => timeZone)}::text[],
      ${numbers(rings("requests"))}::text[], ${numbers(rings("tokens"))}::text[]
    ) as r (binding_id, reserved_nano, open_holds, spend, spend_time_zone, requests, tokens)
    on conflict (namespace_id, binding_id) do update
    set reserved_nano = excluded.reserved_nano, open_holds = excluded.open_holds,
      spend = coalesce(excluded.spend, c.spend),
      spend_time_zone = case when excluded.spend is null then c.spend_time_zone else excluded.spend_time_zone end,
      requests = coalesce(excluded.requests, c.requests),
      tokens = coalesce(excluded.tokens, c.tokens))`;
}
