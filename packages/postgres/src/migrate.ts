import { Kysely, PostgresDialect } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";

/** By name, `0001_…` first. Forward only: applied once, in order, and never edited afterwards. */
export type Migrations = Readonly<Record<string, Migration>>;

export interface MigrationOptions {
  /** Connects as the owner of the schema. */
  readonly url: string;
  readonly schema: string;
  readonly migrations: Migrations;
}

/**
 * Applies what is not applied yet. Safe to run at the same time in several processes: one works, the others wait.
 *
 * @returns names of the migrations that this call applied
 */
export async function migrateToLatest({ url, schema, migrations }: MigrationOptions): Promise<readonly string[]> {
  const pool = new pg.Pool({ connectionString: url, max: 1, options: `-c search_path=${schema}` });
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
