import { AUTH_ACTIONS, labelActions } from "@routeplane/audit";
import type { Kysely } from "kysely";
import { ACCOUNT_OF_NAMESPACE } from "./0006_operators.ts";

/** Revocations, rotations and changes of namespaces and accounts have actions of their own, instead of `….update`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of labelActions(AUTH_ACTIONS, ACCOUNT_OF_NAMESPACE)) await statement.execute(db);
}
