import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { PageRequest, UsageStore } from "../domain/ports.ts";
import { fromRequestRow } from "./rows.ts";
import type { UsageSchema } from "./schema.ts";
import { sumUsage } from "./usage-sums.ts";

export function createUsageStore(database: Database<UsageSchema>): UsageStore {
  return {
    usage: (namespaceId, query) =>
      database.within({ namespaceId }, (transaction) => sumUsage(transaction, namespaceId, query)),

    nodeUsage: (query) => database.within({ node: true }, (transaction) => sumUsage(transaction, undefined, query)),

    list: (namespaceId, page) =>
      database.within({ namespaceId }, async (transaction) => {
        const rows = await transaction
          .selectFrom("requests")
          .selectAll()
          // Row-level security says so too; here it is what finds the index.
          .where("namespace_id", "=", namespaceId)
          .where(sql<boolean>`${conditions(page)}`)
          .orderBy("created_at", "desc")
          .orderBy("id", "desc")
          .limit(page.size + 1)
          .execute();
        return { rows: rows.slice(0, page.size).map(fromRequestRow), more: rows.length > page.size };
      }),

    get: (namespaceId, id) =>
      database.within({ namespaceId }, async (transaction) => {
        const row = await transaction
          .selectFrom("requests")
          .selectAll()
          .where("namespace_id", "=", namespaceId)
          .where("id", "=", id)
          .executeTakeFirst();
        return row && fromRequestRow(row);
      }),
  };
}

function conditions({ before, filter: { keyId, model, status, from, to, except } }: PageRequest) {
  const all = [sql`true`];
  if (keyId !== undefined) all.push(sql`key_id = ${keyId}`);
  if (model !== undefined) all.push(sql`model = ${model}`);
  if (status !== undefined) all.push(sql`status = ${status}`);
  if (except !== undefined) all.push(sql`status <> ${except}`);
  if (from !== undefined) all.push(sql`created_at >= ${from}`);
  if (to !== undefined) all.push(sql`created_at < ${to}`);
  // The first condition is the second's too, and the one by which months are left out.
  if (before !== undefined) {
    all.push(sql`created_at <= ${before.createdAt}`, sql`(created_at, id) < (${before.createdAt}, ${before.id})`);
  }
  return sql.join(all, sql` and `);
}
