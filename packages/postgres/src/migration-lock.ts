import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { OPEN_TIMEOUT_MS } from "./connect-in-time.ts";
import { refusalOf } from "./errors.ts";
import { MIGRATION_TABLE } from "./schema-state.ts";

/** Key of the advisory lock that one migration process of a database holds at a time, for all its schemas. */
const LOCK_KEY = "7263114905582017364";
const POLL_MS = 200;
/** Longest wait for another migration process: that of a Job before Kubernetes ends it. */
const MAX_WAIT_MS = 1_800_000;

export interface MigrationLockOptions {
  readonly url: string;
  /** Called once if another process holds the lock. */
  readonly onWait?: ((reason: string) => void) | undefined;
}

/** Reads the names of the migrations that are applied to a schema; none if it has no migration table. */
export type ReadApplied = (schema: string) => Promise<readonly string[]>;

/**
 * Runs `work` while it holds the migration lock of the database. Polls for the lock: a session that waits inside a statement would delay
 * `create index concurrently`, which waits for every running statement.
 */
export async function withMigrationLock<T>(
  { url, onWait }: MigrationLockOptions,
  work: (readApplied: ReadApplied) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: OPEN_TIMEOUT_MS });
  // A lost connection fails the next query; without a listener its error event would end the process.
  client.on("error", () => {});
  await client.connect().catch((error: unknown) => {
    throw refusalOf(error, "ROUTEPLANE_MIGRATION_DATABASE_URL") ?? error;
  });
  try {
    const deadline = performance.now() + MAX_WAIT_MS;
    for (let isFirst = true; !(await tryLock(client)); isFirst = false) {
      if (performance.now() > deadline) throw new Error("another migration of this database did not end in time");
      if (isFirst) onWait?.("another migration of this database is running; waiting for it");
      await sleep(POLL_MS);
    }
    return await work((schema) => readApplied(client, schema));
  } finally {
    // Ends the session, which releases the lock.
    await client.end();
  }
}

async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_lock($1) as locked", [LOCK_KEY]);
  return rows[0]?.locked === true;
}

async function readApplied(client: pg.Client, schema: string): Promise<readonly string[]> {
  const table = `${pg.escapeIdentifier(schema)}.${MIGRATION_TABLE}`;
  const { rows } = await client.query<{ exists: boolean }>("select to_regclass($1) is not null as exists", [table]);
  if (rows[0]?.exists !== true) return [];
  const applied = await client.query<{ name: string }>(`select name from ${table} order by name`);
  return applied.rows.map(({ name }) => name);
}
