import type { Database } from "@routeplane/postgres";
import type { UsageStore } from "../domain/ports.ts";
import { fromRequestRow } from "./rows.ts";
import type { UsageSchema } from "./schema.ts";
import { sumUsage } from "./usage-sums.ts";

export function createUsageStore(database: Database<UsageSchema>): UsageStore {
  return {
    usage: (namespaceId, query) =>
      database.within({ namespaceId }, (transaction) => sumUsage(transaction, namespaceId, query)),

    list: (namespaceId, { size, before }) =>
      database.within({ namespaceId }, async (transaction) => {
        const all = transaction
          .selectFrom("requests")
          .selectAll()
          .where("namespace_id", "=", namespaceId)
          .orderBy("id", "desc")
          .limit(size + 1);
        const rows = await (before === undefined ? all : all.where("id", "<", before)).execute();
        return { rows: rows.slice(0, size).map(fromRequestRow), more: rows.length > size };
      }),
  };
}
