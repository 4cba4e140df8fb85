import type { Counter } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { Reservation, ReservationChange } from "../domain/admission/reservation.ts";
import type { ReservationRequest, ReservationKey, NewReservation } from "../domain/ports.ts";
import { toRingColumn } from "./counter-columns.ts";
import type { LockedCounters } from "./ledger-reads.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** A hold and what becomes of it. */
export interface EndedReservation {
  readonly hold: Reservation;
  readonly change: ReservationChange;
}

/** A counter whose row is locked, and what it is to be. */
export interface CounterChange {
  readonly bindingId: Id<"bnd">;
  readonly before: Counter | undefined;
  readonly after: Counter;
}

/** A closed hold is kept this long after its time and its end, for repeated calls, late settlements and reconciliation. */
const HOLD_RETENTION_HOURS = 24;

/** Closed holds that one call forgets at most: more than it leaves behind, so that they do not pile up. */
const FORGET_SIZE = 4;

/**
 * Writes the counters, and the holds. Fails on `holds_pkey` if one of the requests has one already, on `holds_idempotency_key`
 * if another request has its idempotency key.
 */
export async function insertReservations(
  tx: Tx,
  namespaceId: Id<"ns">,
  opened: readonly (readonly [ReservationRequest, NewReservation])[],
  counters: readonly CounterChange[],
): Promise<void> {
  const holds = opened.map(
    ([
      {
        key: { keyId, requestId },
        idempotencyKey,
      },
      { bindings, ...hold },
    ]) => {
      const idsOf = (limit: "budget" | "rateLimit") =>
        bindings.filter(({ limits }) => limits[limit] !== undefined).map(({ bindingId }) => bindingId);
      const on = { budgetBindingIds: idsOf("budget"), rateBindingIds: idsOf("rateLimit") };
      const row = toHoldRow({ ...hold, ...on, keyId, requestId, state: "open", closedAt: undefined });
      return { ...row, idempotency_key: idempotencyKey };
    },
  );
  await sql`with ${writeCounters(namespaceId, counters)} ${insertHoldRows(namespaceId, holds)}`.execute(tx);
}

/** Leaves a voided hold on nothing. Fails on `holds_pkey` if the request has one by now. */
export async function insertReleased(tx: Tx, { namespaceId, keyId, requestId }: ReservationKey): Promise<void> {
  await sql`
    with ${deleteOldHolds(namespaceId, [])}
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, amount_nano, output_tokens_max, expires_at,
      state, closed_at)
    values (${namespaceId}, ${keyId}, ${requestId}, '{}', 0, 0, clock_timestamp(), 'voided', clock_timestamp())
  `.execute(tx);
}

/** The holds' new states, what that does to their counters, and what can be forgotten by then, in one statement. */
export async function writeEnded(
  tx: Tx,
  namespaceId: Id<"ns">,
  closed: readonly EndedReservation[],
  counters: readonly CounterChange[],
  now: Date,
): Promise<void> {
  const holds = closed.map(({ hold, change: { state, costNano } }) =>
    toHoldRow({ ...hold, state, closedAt: now }, costNano),
  );
  const requestIds = closed.map(({ hold }) => hold.requestId);
  await sql`
    with ${writeCounters(namespaceId, counters)}, ${deleteOldHolds(namespaceId, requestIds)} ${insertHoldRows(namespaceId, holds)}
    on conflict (namespace_id, key_id, request_id) do update
    set state = excluded.state, closed_at = excluded.closed_at, cost_nano = excluded.cost_nano`.execute(tx);
}

/** Columns of `holds` in JSON, which carries arrays of arrays; of what does not fit its numbers, the text. */
function toHoldRow(hold: Reservation, costNano?: bigint) {
  return {
    key_id: hold.keyId,
    request_id: hold.requestId,
    budget_binding_ids: hold.budgetBindingIds,
    rate_binding_ids: hold.rateBindingIds,
    amount_nano: `${hold.reservedNano}`,
    tokens: `${hold.tokens}`,
    output_tokens_max: `${hold.outputTokensMax}`,
    opened_at: hold.openedAt,
    expires_at: hold.expiresAt,
    state: hold.state,
    closed_at: hold.closedAt,
    cost_nano: costNano === undefined ? undefined : `${costNano}`,
  };
}

interface HoldRow extends ReturnType<typeof toHoldRow> {
  readonly idempotency_key?: string | undefined;
}

function insertHoldRows(namespaceId: Id<"ns">, holds: readonly HoldRow[]): RawBuilder<unknown> {
  return sql`
    insert into holds (namespace_id, key_id, request_id, budget_binding_ids, rate_binding_ids, amount_nano, tokens,
      output_tokens_max, opened_at, expires_at, state, closed_at, cost_nano, idempotency_key)
    select ${namespaceId}, r.* from json_to_recordset(${JSON.stringify(holds)}::json) as r (
      key_id text, request_id text, budget_binding_ids text[], rate_binding_ids text[], amount_nano bigint, tokens bigint,
      output_tokens_max bigint, opened_at timestamptz, expires_at timestamptz, state text, closed_at timestamptz,
      cost_nano bigint, idempotency_key text)`;
}

export function counterChanges(
  before: LockedCounters,
  after: Iterable<readonly [Id<"bnd">, Counter]>,
): readonly CounterChange[] {
  return [...after].map(([bindingId, counter]) => ({ bindingId, before: before.get(bindingId), after: counter }));
}

/**
 * Of rows that are locked, and so are there. An upsert finds each by its key, whatever the planner believes: joined, a plan
 * that was made while the table was small reads all of a namespace.
 */
function writeCounters(namespaceId: Id<"ns">, changes: readonly CounterChange[]): RawBuilder<unknown> {
  const rings = (name: "spend" | "requests" | "tokens") =>
    changes.map(({ before, after }) => toRingColumn(after[name], before?.[name]));
  return sql`counted as (
    insert into counters as c (namespace_id, binding_id, reserved_nano, open_holds, spend, requests, tokens)
    select ${namespaceId}, r.binding_id, r.reserved_nano, r.open_holds, r.spend::bigint[], r.requests::bigint[],
      r.tokens::bigint[]
    from unnest(
      ${changes.map(({ bindingId }) => bindingId)}::text[],
      ${changes.map(({ after }) => after.reservedNano)}::bigint[],
      ${changes.map(({ after }) => after.openReservations)}::bigint[],
      ${rings("spend")}::text[], ${rings("requests")}::text[], ${rings("tokens")}::text[]
    ) as r (binding_id, reserved_nano, open_holds, spend, requests, tokens)
    on conflict (namespace_id, binding_id) do update
    set reserved_nano = excluded.reserved_nano, open_holds = excluded.open_holds,
      spend = coalesce(excluded.spend, c.spend),
      requests = coalesce(excluded.requests, c.requests),
      tokens = coalesce(excluded.tokens, c.tokens))`;
}

/**
 * A few closed holds that nobody can ask for any more, but for those of `requestIds`, which are being written. Those that
 * another settlement is at need no waiting for.
 */
function deleteOldHolds(namespaceId: Id<"ns">, requestIds: readonly Id<"req">[]): RawBuilder<unknown> {
  return sql`old_holds as (
    select key_id, request_id from holds
    where namespace_id = ${namespaceId} and state <> 'open' and request_id <> all(${requestIds})
      and expires_at < statement_timestamp() - make_interval(hours => ${HOLD_RETENTION_HOURS})
      and closed_at < statement_timestamp() - make_interval(hours => ${HOLD_RETENTION_HOURS})
    order by expires_at limit ${FORGET_SIZE} for update skip locked
  ), forgotten_holds as (
    delete from holds where namespace_id = ${namespaceId} and key_id = any(array(select key_id from old_holds))
      and request_id = any(array(select request_id from old_holds)) and (key_id, request_id) in (select * from old_holds))`;
}
