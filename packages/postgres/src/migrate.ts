import { Kysely, PostgresDialect } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import { readEnvironment } from "@routeplane/runtime";
import pg from "pg";

/** Migrations, keyed by name (`0001_…` first). Forward only: applied once, in order; their SQL is never edited afterwards. */
export type Migrations = Readonly<Record<string, Migration>>;

export interface MigrationOptions {
  /** Connection string of the owner of the schema. */
  readonly url: string;
  readonly schema: string;
  readonly migrations: Migrations;
}

/**
 * Applies the migrations that are not applied yet. Safe to run in several processes at once: one works, the others wait.
 *
 * @returns names of the migrations that this call applied
 */
export async function migrateToLatest({ url, schema, migrations }: MigrationOptions): Promise<readonly string[]> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  // Set on the session, which only the migrator has, so that a migration needs no settings of the role.
  pool.on("connect", (client) => void client.query(`set search_path = ${pg.escapeIdentifier(schema)}`).catch(() => {}));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: () => Promise.resolve({ ...migrations }) },
      migrationTableSchema: schema,
    });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    return results.map(({ migrationName }) => migrationName);
  } finally {
    await db.destroy();
  }
}

/**
 * The whole of a migration process: reads ROUTEPLANE_MIGRATION_DATABASE_URL, applies, and prints a line for each migration. A
 * failure is one line on stderr and exit code 1.
 */
export async function migrateFromEnvironment(
  schema: string,
  migrations: Migrations,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  try {
    const { url } = readEnvironment(variables, (env) => ({
      url: env.secretUrl("ROUTEPLANE_MIGRATION_DATABASE_URL", ["postgres:", "postgresql:"]).current,
    }));
    const applied = await migrateToLatest({ url, schema, migrations });
    for (const name of applied) process.stdout.write(`${schema}: applied ${name}\n`);
    if (applied.length === 0) process.stdout.write(`${schema}: up to date\n`);
  } catch (error) {
    process.stderr.write(`cannot migrate ${schema}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
