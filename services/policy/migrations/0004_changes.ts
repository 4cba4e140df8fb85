import { announceChanges, changeCounter } from "@routeplane/postgres";
import type { Kysely } from "kysely";

/** The change feed: every change of what applies to the keys of a namespace is announced, with the namespace as its subject. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...changeCounter({ schema: "policy", owner: "routeplane_policy_owner", role: "routeplane_policy" }),
    // No insert: a new policy has no bindings yet.
    announceChanges("policies", "update or delete", "namespace_id"),
    announceChanges("bindings", "insert or update or delete", "namespace_id"),
  ];
  for (const statement of statements) await statement.execute(db);
}
