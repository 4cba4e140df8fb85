import { labelActions, POLICY_ACTIONS } from "@routeplane/audit";
import type { Kysely } from "kysely";

/** Disabling and enabling a policy have actions of their own, instead of `policy.update`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of labelActions(POLICY_ACTIONS)) await statement.execute(db);
}
