import { Kysely, type Transaction as KyselyTransaction, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { fromDriverError } from "./errors.ts";

/** What row-level security lets a transaction see: rows of this namespace, account or token lookup. */
export interface Scope {
  readonly namespaceId?: string;
  readonly accountId?: string;
  readonly lookupId?: string;
}

export type Transaction<Schema> = KyselyTransaction<Schema>;

export interface Database<Schema> {
  readonly name: string;
  /**
   * Runs `work` in one transaction that sees only the rows of `scope`. The only way to query.
   *
   * @throws DomainError UNAVAILABLE (dependency `postgres`) if the database does not answer in time.
   */
  within<T>(scope: Scope, work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** Whether a query gets through now, and finds a schema that has been migrated. */
  isReachable(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Schema that unqualified names mean. */
  readonly schema: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** 10 by default. */
  readonly maxConnections?: number;
}

const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000;

export function openDatabase<Schema>(options: DatabaseOptions): Database<Schema> {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // The server's own time-out comes first; this one is for a server that has gone silent.
    query_timeout: STATEMENT_TIMEOUT_MS + 1_000,
    options: [
      `-c search_path=${options.schema}`,
      `-c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      `-c idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
    ].join(" "),
    types: { getTypeParser: exactIntegers },
  });
  // An idle connection that breaks is replaced at the next query; without a listener it would end the process.
  pool.on("error", () => {});

  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: neverReusingOpenTransactions(pool) }) });

  return {
    name: `database pool ${options.applicationName}`,
    async within(scope, work) {
      try {
        return await kysely.transaction().execute(async (transaction) => {
          await sql`select ${settings(scope)}`.execute(transaction);
          return work(transaction);
        });
      } catch (error) {
        throw fromDriverError(error);
      }
    },
    async isReachable() {
      try {
        const { rows } = await sql`
          select from pg_catalog.pg_tables
          where schemaname = ${options.schema} and not starts_with(tablename, 'kysely_') limit 1`.execute(kysely);
        return rows.length > 0;
      } catch {
        return false;
      }
    },
    stop: () => kysely.destroy(),
  };
}

/** Every setting every time, so that what a scope does not name is empty whatever the connection did before. */
function settings({ namespaceId = "", accountId = "", lookupId = "" }: Scope) {
  const setting = (name: string, value: string) => sql`set_config(${`routeplane.${name}`}, ${value}, true)`;
  return sql.join([
    setting("namespace_id", namespaceId),
    setting("account_id", accountId),
    setting("lookup_id", lookupId),
  ]);
}

/** BIGINT (oid 20) as bigint: money and counts are exact. Everything else as the driver has it. */
function exactIntegers(oid: number, format?: "text" | "binary") {
  return oid === 20 && format !== "binary" ? BigInt : getDriverParser(oid, format);
}

const getDriverParser = pg.types.getTypeParser as (oid: number, format?: string) => (value: string) => unknown;

/**
 * A connection that comes back inside a transaction (its ROLLBACK failed, or a query was given up) carries its tenant to
 * the next borrower: it is closed instead.
 */
function neverReusingOpenTransactions(pool: pg.Pool) {
  return {
    options: {},
    async connect() {
      const client = await pool.connect();
      const release = client.release.bind(client);
      client.release = () => release(client.getTransactionStatus() !== "I");
      return client;
    },
    end: () => pool.end(),
  };
}
