import { migrateToLatest } from "@routeplane/postgres";
import type { TestDatabase } from "@routeplane/testing";
import { type Kysely, sql } from "kysely";
import { migrations as auth } from "../../services/auth/migrations/index.ts";
import { migrations as policy } from "../../services/policy/migrations/index.ts";
import { migrations as usage } from "../../services/usage/migrations/index.ts";

const SCHEMAS = { auth, policy, usage };

/** Name of a migration that the release after this one might have. */
export const NEXT_MIGRATION = "9999_next_release";

/** Additions of that release to tables that requests read and write. */
const ADDITIONS = {
  auth: "alter table keys add column next_release text not null default 'of the next release'",
  policy: "alter table holds add column next_release bigint; create table next_release (id text primary key)",
  usage: "alter table requests add column next_release text; create table next_release (id text primary key)",
} as const;

/** Migrates a schema as the release after this one might. Resolves to the names of the migrations that were applied. */
export async function migrateToNextRelease(
  database: TestDatabase,
  schema: keyof typeof SCHEMAS,
): Promise<readonly string[]> {
  const next = { up: async (db: Kysely<unknown>) => void (await sql.raw(ADDITIONS[schema]).execute(db)) };
  const { applied } = await migrateToLatest({
    url: database.url(`routeplane_${schema}_owner`),
    schema,
    migrations: { ...SCHEMAS[schema], [NEXT_MIGRATION]: next },
  });
  return applied;
}
