import { type Counter, fromStoredRing, type Ring, toStoredRing } from "@routeplane/admission";
import type { Database } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import type { CounterReader } from "../domain/ports.ts";
import type { PolicySchema } from "./schema.ts";

type CounterRow = Selectable<PolicySchema["counters"]>;

export function createCounterReader(database: Database<PolicySchema>): CounterReader {
  return {
    ofBindings: (namespaceId, bindingIds) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<CounterRow & { now: Date; leased: bigint; held_back: bigint; leased_slots: bigint }>`
          select c.*, clock_timestamp() as now, set_aside.* from counters c cross join lateral (
            select coalesce(sum(greatest(granted - returned - used, 0)) filter (where dimension = 'money'), 0)::bigint as leased,
              coalesce(sum(held_back) filter (where dimension = 'money'), 0)::bigint as held_back,
              coalesce(sum(greatest(granted - returned - used, 0)) filter (where dimension = 'concurrent'), 0)::bigint as leased_slots
            from slices s where s.namespace_id = c.namespace_id and s.binding_id = c.binding_id
          ) as set_aside
          where c.namespace_id = ${namespaceId} and c.binding_id = any(${bindingIds})`.execute(tx);
        const counters = new Map(
          rows.map((row) => {
            const setAside = {
              leasedNano: row.leased,
              heldBackNano: row.held_back,
              leasedSlots: row.leased_slots,
            };
            return [row.binding_id, { ...fromCounterRow(row), ...setAside }];
          }),
        );
        return { now: rows[0]?.now ?? new Date(0), counters };
      }),
  };
}

/** @throws Error if a window cannot be read: a request that it limits must be refused */
export function fromCounterRow(
  row: Pick<CounterRow, "reserved_nano" | "open_holds" | "spend" | "spend_time_zone" | "requests" | "tokens">,
): Counter {
  return {
    reservedNano: row.reserved_nano,
    openReservations: row.open_holds,
    spend: fromRingColumn(row.spend, row.spend_time_zone),
    requests: fromRingColumn(row.requests),
    tokens: fromRingColumn(row.tokens),
  };
}

function fromRingColumn(column: CounterRow["spend"], timeZone: string | null = null): Ring | undefined {
  return column === null ? undefined : fromStoredRing({ numbers: column.map(BigInt), timeZone: timeZone ?? undefined });
}

/** Ring as columns: its numbers as the text of a `bigint[]`, because no parameter holds an array of arrays, and its time zone. */
export interface RingColumns {
  /** Null for a ring that has not changed. */
  readonly numbers: string | null;
  readonly timeZone: string | null;
}

export function toRingColumns(ring: Ring | undefined, before: Ring | undefined): RingColumns {
  if (ring === undefined || ring === before) return { numbers: null, timeZone: null };
  const { numbers, timeZone = null } = toStoredRing(ring);
  return { numbers: `{${numbers.join(",")}}`, timeZone };
}
