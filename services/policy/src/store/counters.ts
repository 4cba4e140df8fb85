import { type Counter, fromRingNumbers, type Ring, toRingNumbers } from "@routeplane/admission";
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
  row: Pick<CounterRow, "reserved_nano" | "open_holds" | "spend" | "requests" | "tokens">,
): Counter {
  return {
    reservedNano: row.reserved_nano,
    openReservations: row.open_holds,
    spend: fromRingColumn(row.spend),
    requests: fromRingColumn(row.requests),
    tokens: fromRingColumn(row.tokens),
  };
}

function fromRingColumn(column: CounterRow["spend"]): Ring | undefined {
  return column === null ? undefined : fromRingNumbers(column.map(BigInt));
}

/** Ring as the text of a `bigint[]`, because no parameter holds an array of arrays; null for a ring that has not changed. */
export function toRingColumn(ring: Ring | undefined, before: Ring | undefined): string | null {
  return ring === undefined || ring === before ? null : `{${toRingNumbers(ring).join(",")}}`;
}
