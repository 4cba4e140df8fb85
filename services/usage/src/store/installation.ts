import type { Database } from "@routeplane/postgres";
import type { UsageSchema } from "./schema.ts";

/** Reads the id of the installation. */
export function readInstallation(database: Database<UsageSchema>): Promise<string> {
  return database.within({ node: true }, async (transaction) => {
    const { id } = await transaction.selectFrom("installation").select("id").executeTakeFirstOrThrow();
    return id;
  });
}
