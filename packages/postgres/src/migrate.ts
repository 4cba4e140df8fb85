import { setTimeout as sleep } from "node:timers/promises";
import { readEnvironment } from "@routeplane/runtime";
import { Kysely, PostgresDialect, sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";
import { isLockFailure } from "./errors.ts";
import { withMigrationLock } from "./migration-lock.ts";
import { poolWithRoleNames } from "./role-names.ts";
import { compareSchema, MIGRATION_TABLE } from "./schema-state.ts";

/** A migration, which runs in a transaction of its own. */
export interface SchemaMigration extends Migration {
  /**
   * True for a migration that runs outside a transaction: only for `create index concurrently`. It can be interrupted at any point, so
   * running it again must complete it: `buildIndex` does.
   */
  readonly isConcurrent?: true;
}

/** Migrations, keyed by name (`0001_…` first). Forward only: applied once, in order; their SQL is never edited afterwards. */
export type Migrations = Readonly<Record<string, SchemaMigration>>;

export interface MigrationOptions {
  /** Connection string of the owner of the schema, at the server itself or at a pooler in session mode. */
  readonly url: string;
  readonly schema: string;
  readonly migrations: Migrations;
  /** Longest wait of one statement for a lock; 2 s by default. While it waits, other requests queue behind it. */
  readonly lockTimeoutMs?: number;
  /** Number of attempts at one migration that did not get a lock in time; 20 by default. */
  readonly attempts?: number;
  /** Called when the call begins to wait, with the reason. */
  readonly onWait?: (reason: string) => void;
}

export interface MigrationResult {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[];
  /** Names of the migrations that later builds have applied. */
  readonly unknown: readonly string[];
}

const LOCK_TIMEOUT_MS = 2_000;
const ATTEMPTS = 20;
/** Pause after an attempt that did not get a lock: the requests that queued behind it proceed. */
const PAUSE_MS = 1_000;
/** A concurrent migration blocks no request while it waits for running transactions to end. */
const CONCURRENT_LOCK_TIMEOUT_MS = 600_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 300_000;

/**
 * Applies the migrations that are not applied yet, each in a transaction of its own. Safe to run in several processes at once: one works,
 * the others wait. A schema with migrations of later builds is left as it is.
 *
 * @throws Error if a migration fails, does not get its locks in any attempt, or the schema has migrations of another line of builds
 */
export function migrateToLatest(options: MigrationOptions): Promise<MigrationResult> {
  const { url, schema, migrations, onWait } = options;
  return withMigrationLock({ url, onWait }, async (readApplied) => {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    // A lost connection fails the running statement; without a listener its error event would end the process.
    pool.on("error", () => {});
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: poolWithRoleNames(pool, options.schema) }) });
    const known = Object.keys(migrations);
    const newlyApplied: string[] = [];
    try {
      for (;;) {
        const applied = await readApplied(schema);
        const { missing, unknown } = compareSchema(known, applied);
        const [next] = missing;
        if (applied.length > 0) await letProcessesReadState(db, schema);
        if (next === undefined) return { applied: newlyApplied, unknown };
        refuseOtherLine(next, applied, unknown);
        newlyApplied.push(...(await applyNext(db, next, options)));
      }
    } finally {
      await db.destroy();
    }
  });
}

/**
 * Refuses to apply a migration to a schema that it was not written for: one that lacks an earlier migration, or has one that the build does
 * not know, whatever its name. The unknown migration may have replaced a function that this migration would overwrite.
 */
function refuseOtherLine(name: string, applied: readonly string[], unknown: readonly string[]): void {
  const later = applied.find((other) => other > name);
  const found =
    unknown.length > 0
      ? `the schema has ${unknown.join(", ")}, which this build does not know`
      : later === undefined
        ? undefined
        : `the later ${later} is`;
  if (found === undefined) return;
  throw new Error(
    `${name} is not applied, but ${found}: this build comes neither before nor after the one that made the schema. ` +
      "Nothing was changed; deploy a build that has all of them",
  );
}

/** Applies one migration. Repeats it, at most `attempts` times, while others hold the locks that it needs. */
async function applyNext(db: Kysely<unknown>, name: string, options: MigrationOptions): Promise<readonly string[]> {
  const { schema, migrations, attempts = ATTEMPTS, onWait } = options;
  const isConcurrent = migrations[name]?.isConcurrent === true;
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve({ ...migrations }) },
    migrationTableSchema: schema,
  });
  for (let attempt = 1; ; attempt += 1) {
    await prepareSession(db, options, isConcurrent);
    const { error, results = [] } = await migrator.migrateUp({ disableTransactions: isConcurrent });
    if (error === undefined) return results.map(({ migrationName }) => migrationName);
    if (!isLockFailure(error)) throw error;
    if (attempt >= attempts)
      throw new Error(`${name} did not get its locks in ${attempts} attempts: end the transactions that hold them`, {
        cause: error,
      });
    onWait?.(`${name} did not get its locks; attempt ${attempt + 1} of ${attempts} follows`);
    await sleep(PAUSE_MS);
  }
}

/** Sets up the session before each attempt: the pool may have replaced its one connection. */
async function prepareSession(db: Kysely<unknown>, options: MigrationOptions, isConcurrent: boolean): Promise<void> {
  const lockTimeoutMs = isConcurrent ? CONCURRENT_LOCK_TIMEOUT_MS : (options.lockTimeoutMs ?? LOCK_TIMEOUT_MS);
  const settings = {
    search_path: pg.escapeIdentifier(options.schema),
    lock_timeout: lockTimeoutMs,
    statement_timeout: 0,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
  };
  for (const [name, value] of Object.entries(settings)) await sql.raw(`set ${name} = ${value}`).execute(db);
}

/** Grants the roles of the schema's processes read access to the applied migrations, from which they know whether they may serve. */
async function letProcessesReadState(db: Kysely<unknown>, schema: string): Promise<void> {
  const { rows } = await sql<{ readonly role: string }>`
    select distinct grantee::regrole::text as role
    from pg_catalog.pg_namespace, lateral aclexplode(nspacl)
    where nspname = ${schema} and privilege_type = 'USAGE' and grantee not in (0, nspowner)`.execute(db);
  for (const { role } of rows)
    await sql`grant select on ${sql.id(schema, MIGRATION_TABLE)} to ${sql.raw(role)}`.execute(db);
}

/**
 * Main function of a migration process: reads ROUTEPLANE_MIGRATION_DATABASE_URL, applies the migrations, and prints a line for each. A
 * schema that is newer than the build is left alone, with a line that says so and exit code 0. A failure is one line on stderr and exit
 * code 1.
 */
export async function migrateFromEnvironment(
  schema: string,
  migrations: Migrations,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${schema}: ${line}\n`);
  try {
    const { url } = readEnvironment(variables, (env) => ({
      url: env.secretUrl("ROUTEPLANE_MIGRATION_DATABASE_URL", ["postgres:", "postgresql:"]).current,
    }));
    const { applied, unknown } = await migrateToLatest({ url, schema, migrations, onWait: say });
    for (const name of applied) say(`applied ${name}`);
    if (unknown.length > 0) say(`the schema is newer than this build, which does not know ${unknown.join(", ")}`);
    else if (applied.length === 0) say("up to date");
  } catch (error) {
    process.stderr.write(`cannot migrate ${schema}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
