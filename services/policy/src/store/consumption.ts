import type { Database } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import type { CounterReader } from "../domain/ports.ts";
import { fromCounterColumns } from "./counter-columns.ts";
import type { PolicySchema } from "./schema.ts";

/** Waits for no admission: what it says was so a moment ago. */
export function createCounterReader(database: Database<PolicySchema>): CounterReader {
  return {
    ofBindings: (namespaceId, bindingIds) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<Selectable<PolicySchema["counters"]> & { readonly now: Date }>`
          select c.*, clock_timestamp() as now from counters c
          where namespace_id = ${namespaceId} and binding_id = any(${bindingIds})`.execute(tx);
        const counters = new Map(rows.map((row) => [row.binding_id, fromCounterColumns(row)]));
        return { now: rows[0]?.now ?? new Date(0), counters };
      }),
  };
}
