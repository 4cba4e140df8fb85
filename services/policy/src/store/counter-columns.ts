import { type Counter, fromRingNumbers, type Ring, toRingNumbers } from "@routeplane/admission";
import type { Selectable } from "kysely";
import type { PolicySchema } from "./schema.ts";

type CounterRow = Selectable<PolicySchema["counters"]>;

/** @throws Error if a window cannot be read: what is limited by it must be refused */
export function fromCounterColumns(
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

/** As the text of a bigint[]: arrays of arrays do not travel. Null: as it was. */
export function toRingColumn(ring: Ring | undefined, before: Ring | undefined): string | null {
  return ring === undefined || ring === before ? null : `{${toRingNumbers(ring).join(",")}}`;
}
