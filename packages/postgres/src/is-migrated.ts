import pg from "pg";
import { OPEN_TIMEOUT_MS } from "./connect-in-time.ts";
import { compareSchema, MIGRATION_TABLE } from "./schema-state.ts";

export interface MigratedOptions {
  /** Connection string of the owner of the schema. */
  readonly url: string;
  readonly schema: string;
  /** Names of the migrations of this build. */
  readonly known: readonly string[];
}

/**
 * True if all migrations of this build are applied to a schema, and the roles of its processes may read which ones are: a migration
 * process has nothing to do then.
 */
export async function isMigrated({ url, schema, known }: MigratedOptions): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: OPEN_TIMEOUT_MS });
  // A broken connection fails the next query; without a listener its error event would end the process.
  client.on("error", () => {});
  await client.connect();
  try {
    const table = `${pg.escapeIdentifier(schema)}.${MIGRATION_TABLE}`;
    const { rows } = await client.query<{ readable: boolean | null }>(
      `select bool_and(has_table_privilege(grantee, to_regclass($1), 'select')) as readable
       from pg_catalog.pg_namespace, lateral aclexplode(nspacl)
       where nspname = $2 and privilege_type = 'USAGE' and grantee not in (0, nspowner)`,
      [table, schema],
    );
    // Null without the table.
    if (rows[0]?.readable !== true) return false;
    const applied = await client.query<{ name: string }>(`select name from ${table}`);
    return (
      compareSchema(
        known,
        applied.rows.map(({ name }) => name),
      ).state !== "older"
    );
  } finally {
    await client.end();
  }
}
