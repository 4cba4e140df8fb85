import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { UsageStore } from "../domain/ports.ts";
import { fromRequestRow } from "./rows.ts";
import type { UsageSchema } from "./schema.ts";

export function createUsageStore(database: Database<UsageSchema>): UsageStore {
  return {
    totals: (namespaceId, { from, to }) =>
      database.within({ namespaceId }, (transaction) =>
        transaction
          .selectFrom("requests")
          .select(({ fn }) => [
            fn.countAll<bigint>().as("requestCount"),
            total("prompt_tokens").as("promptTokens"),
            total("completion_tokens").as("completionTokens"),
            total("cost_nano_usd").as("costNanoUsd"),
          ])
          // Row-level security says so too; here it is what finds the index.
          .where("namespace_id", "=", namespaceId)
          .where("created_at", ">=", from)
          .where("created_at", "<", to)
          .where("status", "<>", "denied")
          .executeTakeFirstOrThrow(),
      ),

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

/** Sums of BIGINT are NUMERIC; this one is a BIGINT again, and fails rather than wrap. */
function total(column: "prompt_tokens" | "completion_tokens" | "cost_nano_usd") {
  return sql<bigint>`coalesce(sum(${sql.ref(column)}), 0)::bigint`;
}
