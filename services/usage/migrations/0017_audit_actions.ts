import { labelActions, USAGE_ACTIONS } from "@routeplane/audit";
import type { Kysely } from "kysely";

/** Replaying and discarding a dead letter have actions of their own, instead of `dead_letter.update`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of labelActions(USAGE_ACTIONS)) await statement.execute(db);
}
