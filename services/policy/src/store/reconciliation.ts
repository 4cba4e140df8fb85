import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import type {
  ChargedReservation,
  CounterReading,
  RequestKey,
  SessionDifference,
} from "../domain/reconciliation/charges.ts";
import type { BudgetRecords } from "../domain/reconciliation/reconciliation.ts";
import type { PolicySchema } from "./schema.ts";

type HoldRow = Pick<
  Selectable<PolicySchema["holds"]>,
  "request_id" | "state" | "expires_at" | "amount_nano" | "cost_nano" | "service_credential_id"
> & { readonly key_id: Id<"key"> };

const COLUMNS = sql.raw("key_id, request_id, state, expires_at, amount_nano, cost_nano, service_credential_id");

/** Days for which amounts that an edit of a window moved may count: longer than any window. */
const EDITED_DAYS = 90;

interface CounterRow {
  readonly policy_id: Id<"pol">;
  readonly binding_id: Id<"bnd">;
  readonly reserved: bigint;
  readonly expected_reserved: bigint;
  readonly spent: bigint;
  readonly min_spent: bigint;
  readonly max_spent: bigint | null;
  readonly since: Date | null;
  readonly edited: boolean;
}

export function createBudgetRecords(database: Database<PolicySchema>): BudgetRecords {
  return {
    nextNamespace: (after) =>
      database.within({ node: true }, async (tx) => {
        const { rows } = await sql<{ next: Id<"ns"> | null }>`
          select next_limited_namespace(${after ?? ""}) as next`.execute(tx);
        return rows[0]?.next ?? undefined;
      }),

    page: (namespaceId, { range, after, size }) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<HoldRow>`
          select ${COLUMNS} from holds
          where namespace_id = ${namespaceId} and (key_id, request_id) > (${after?.keyId ?? ""}, ${after?.requestId ?? ""})
            and key_id <> '' and cardinality(budget_binding_ids) > 0
            and opened_at >= ${range.from} and opened_at < ${range.to}
          order by key_id, request_id limit ${size}`.execute(tx);
        return rows.map(fromReservationRow);
      }),

    of: (namespaceId, keys: readonly RequestKey[]) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<HoldRow>`
          select ${COLUMNS} from holds
          join unnest(${keys.map(({ keyId }) => keyId)}::text[], ${keys.map(({ requestId }) => requestId)}::text[])
            as requested (key_id, request_id) using (key_id, request_id)
          where namespace_id = ${namespaceId} and cardinality(budget_binding_ids) > 0`.execute(tx);
        return rows.map(fromReservationRow);
      }),

    budgeted: (namespaceId, since) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<{ principal_id: string; bound_at: Date }>`
          select b.principal_id, min(b.created_at) as bound_at
          from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
          where b.namespace_id = ${namespaceId} and b.mode = 'enforce' and p.disabled_at is null
            and (p.kind = 'budget' or (p.kind = 'preset' and p.spec ? 'budget'))
            and not exists (
              select from audit_entries a
              where a.namespace_id = b.namespace_id and a.target_id = p.id
                and a.created_at >= ${since} and (a.action in ('policy.enable', 'policy.disable')
                  or a.action = 'policy.update'
                    and (a.before #> '{spec,budget}' is null) <> (a.after #> '{spec,budget}' is null))
            )
          group by b.principal_id`.execute(tx);
        return new Map(rows.map(({ principal_id, bound_at }) => [principal_id, bound_at]));
      }),

    counters: (namespaceId, from) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await counters(namespaceId, from).execute(tx);
        return rows.map(fromCounterRow);
      }),

    sessions: (namespaceId) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sessionFaults(namespaceId).execute(tx);
        return rows.map(({ session_id: sessionId, binding_id, fault, set_aside: setAsideNano }) => {
          return { sessionId, bindingId: binding_id ?? undefined, fault, setAsideNano };
        });
      }),
  };
}

/**
 * Reads all counters of a namespace with the sums of their reservations and slices, in one statement and so in one snapshot. A window is
 * compared by the buckets that began at `from` or later. A window that never ends is compared as a whole, so that only a binding younger
 * than `from` has an exact sum. Of a calendar window the newest day is compared, whose sum is exact if it began at `from` or later. A
 * reservation that was settled after it had expired was charged at both moments: if the first compared bucket began in between, anything
 * from 0 to its cost may count.
 */
function counters(namespaceId: Id<"ns">, from: Date) {
  const sum = (amount: string, condition: string) =>
    sql`coalesce(sum(${sql.raw(amount)}) filter (where ${sql.raw(condition)}), 0)::bigint`;
  const charge = "case state when 'settled' then cost_nano when 'expired' then amount_nano else 0 end";
  const within = "(since is null or closed_at >= since)";
  const whole = "(since is null or state <> 'settled' or expires_at >= closed_at or expires_at >= since)";
  return sql<CounterRow>`
    with counted as materialized (
      select c.binding_id, b.policy_id, c.reserved_nano, spend[1] as width, spend[2] as newest, spend[3:] as amounts,
        spend_time_zone is not null as is_calendar,
        case when spend_time_zone is not null then to_timestamp(spend[2] / 1000.0)
          when spend[1] > 0 then to_timestamp(spend[1] * greatest(
            ceil(extract(epoch from ${from}::timestamptz) * 1000 / spend[1]), spend[2] - 100) / 1000.0) end as since,
        case when spend_time_zone is not null then to_timestamp(spend[2] / 1000.0) < ${from}
          else spend[1] = 0 and b.created_at < ${from} end as is_older,
        exists (
          select from audit_entries a
          where a.namespace_id = c.namespace_id and a.target_id = b.policy_id and a.action = 'policy.update'
            and a.created_at >= ${from}::timestamptz - make_interval(days => ${EDITED_DAYS})
            and (coalesce(a.before #>> '{spec,window}', a.before #>> '{spec,budget,window}')
                is distinct from coalesce(a.after #>> '{spec,window}', a.after #>> '{spec,budget,window}')
              or coalesce(a.before #>> '{spec,time_zone}', a.before #>> '{spec,budget,time_zone}')
                is distinct from coalesce(a.after #>> '{spec,time_zone}', a.after #>> '{spec,budget,time_zone}'))
        ) as edited
      from counters c join bindings b on b.namespace_id = c.namespace_id and b.id = c.binding_id
      where c.namespace_id = ${namespaceId}
    ), reservations as (
      select binding_id, ${sum("amount_nano", "state = 'open'")} as expected_reserved,
        ${sum(charge, `${within} and ${whole}`)} as min_spent, ${sum(charge, within)} as max_spent
      from (select unnest(budget_binding_ids) as binding_id, * from holds where namespace_id = ${namespaceId}) as hold
        join counted using (binding_id)
      group by binding_id
    )
    select policy_id, binding_id, reserved_nano as reserved, 
      coalesce(expected_reserved, 0) + (
        select coalesce(sum(greatest(granted - returned - used, 0) + held_back), 0)::bigint from slices s
        where s.namespace_id = ${namespaceId} and s.binding_id = counted.binding_id and dimension = 'money'
      ) as expected_reserved,
      (select coalesce(sum(amount), 0)::bigint from unnest(amounts) with ordinality as bucket (amount, nth)
       where since is null or case when is_calendar then nth = 1
         else to_timestamp((newest - nth + 1) * width / 1000.0) >= since end) as spent,
      coalesce(min_spent, 0) as min_spent, case when is_older then null else coalesce(max_spent, 0) end as max_spent,
      since, edited
    from counted left join reservations using (binding_id)
    where width is not null or reserved_nano > 0 or reservations.binding_id is not null
    order by binding_id`;
}

interface SessionFaultRow {
  readonly session_id: Id<"gws">;
  readonly binding_id: Id<"bnd"> | null;
  readonly fault: SessionDifference["fault"];
  readonly set_aside: bigint;
}

/** Reads sessions of a namespace whose slices have not agreed with their state for a minute or longer. */
function sessionFaults(namespaceId: Id<"ns">) {
  return sql<SessionFaultRow>`
    with known as (
      select session_id, binding_id,
        case when dimension = 'money' then greatest(granted - returned - used, 0) + held_back else 0 end as set_aside,
        greatest(granted - returned - used, 0) > 0 as is_outstanding,
        greatest(granted - returned - used, 0) + held_back > 0 as is_set_aside
      from slices where namespace_id = ${namespaceId}
      union all
      select distinct session_id, null, 0, false, false from session_namespaces where namespace_id = ${namespaceId}
      union all
      select distinct session_id, null, 0, false, false from limit_sets where namespace_id = ${namespaceId}
    ), judged as (
      select known.*, case
        when s.id is null then 'no_session'
        when s.state = 'open' and s.renewed_at < clock_timestamp() - interval '5 minutes' then 'not_ended'
        when s.state = 'closed' and is_set_aside and s.closed_at < clock_timestamp() - interval '1 minute' then 'closed'
        when s.state = 'settled' and is_outstanding then 'settled'
      end as fault
      from known left join gateway_sessions s on s.id = known.session_id
    )
    select distinct session_id, binding_id, fault, set_aside from judged where fault is not null
    order by session_id, binding_id nulls first limit 100`;
}

function fromReservationRow(row: HoldRow): ChargedReservation {
  return {
    keyId: row.key_id,
    requestId: row.request_id,
    state: row.state,
    expiresAt: row.expires_at,
    reservedNano: row.amount_nano,
    costNano: row.cost_nano ?? undefined,
    isOfService: row.service_credential_id !== null,
  };
}

function fromCounterRow(row: CounterRow): CounterReading {
  const { policy_id: policyId, binding_id: bindingId, spent: counted, min_spent: min, max_spent, since, edited } = row;
  const spent = { counted, min, max: max_spent ?? undefined, since: since ?? undefined };
  const reserved = { counted: row.reserved, expected: row.expected_reserved };
  return { policyId, bindingId, reserved, spent: edited ? undefined : spent };
}
