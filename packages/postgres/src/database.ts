import { FairSlots } from "@routeplane/domain";
import { currentOrigin } from "@routeplane/runtime";
import { type CompiledQuery, Kysely, type Transaction as KyselyTransaction, sql } from "kysely";
import pg from "pg";
import { PooledConnection, ScopedDialect } from "./dialect.ts";
import { fromDriverError, unavailable } from "./errors.ts";
import { THIS_NODE } from "./row-level-security.ts";
import { isStalePlan, StatementNames } from "./statement-names.ts";

/** What row-level security lets a transaction see: rows of this namespace, account or token lookup, or of the node. */
export interface Scope {
  readonly namespaceId?: string;
  readonly accountId?: string;
  readonly lookupId?: string;
  /** Every row of the tables that are above namespaces. */
  readonly node?: true;
}

export type Transaction<Schema> = KyselyTransaction<Schema>;

/** From here on the transaction sees only the rows of `scope`, and no longer those of the scope before. */
export type Enter = (scope: Scope) => Promise<void>;

export interface Database<Schema> {
  readonly name: string;
  /**
   * Runs `work` in one transaction that sees only the rows of `scope`. Costs two round trips on top
   * of those of `work`: one that begins and sets the scope, and the commit.
   *
   * @param work gets, besides the transaction, a way into another scope: for what is only known once something was read.
   *   Runs a second time, after a rollback, if a migration has just changed a table under a kept plan.
   * @throws DomainError UNAVAILABLE (dependency `postgres`) if the database does not answer in time.
   */
  within<T>(scope: Scope, work: (transaction: Transaction<Schema>, enter: Enter) => Promise<T>): Promise<T>;
  /**
   * Runs one statement that writes nothing, and sees only the rows of `scope`, in a transaction of its own: in one round trip
   * instead of three.
   *
   * @param statement makes it; what it is given is for that alone
   * @throws as `within`
   */
  read<Row>(scope: Scope, statement: (builder: Kysely<Schema>) => CompiledQuery<Row>): Promise<readonly Row[]>;
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
  /** 10 by default. One namespace takes up at most half of them at a time. */
  readonly maxConnections?: number;
  /**
   * Whether connections keep the plans of statements. False by default: it is for services with few, short statements that
   * differ in nothing but their values. A pooler in between must know prepared statements (PgBouncer from 1.21).
   */
  readonly keepPlans?: boolean;
}

const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000;

/** Transactions of one namespace that may wait for a connection, besides those that have one. */
const MAX_WAITING_TRANSACTIONS = 1_000;

export function openDatabase<Schema>(options: DatabaseOptions): Database<Schema> {
  const { maxConnections = 10 } = options;
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // The server's own time-out comes first; this one is for a server that has gone silent.
    query_timeout: STATEMENT_TIMEOUT_MS + 1_000,
    options: [
      `-c search_path=${options.schema}`,
      `-c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      `-c idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
    ].join(" "),
    types: { getTypeParser: exactIntegers },
    // What is asked before the answer to what was asked before is sent at once: see `read`.
    pipeline: true,
  });
  // A connection that breaks fails its query or, between two, the next one; without a listener it would end the process.
  // The pool listens to idle connections alone.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));

  const names = options.keepPlans === true ? new StatementNames() : undefined;
  const kysely = new Kysely<Schema>({ dialect: new ScopedDialect(pool, names) });

  /** Transactions of one namespace often wait for one another's locks: those of others must not wait along with them. */
  const shares = new FairSlots({
    total: Infinity,
    perOwner: Math.ceil(maxConnections / 2),
    waitingPerOwner: MAX_WAITING_TRANSACTIONS,
    waitMs: CONNECT_TIMEOUT_MS,
    refusal: () => unavailable("too many transactions of the namespace are waiting; try again"),
  });
  const sharing = <T>({ namespaceId }: Scope, work: () => Promise<T>): Promise<T> =>
    namespaceId === undefined ? work() : shares.run(namespaceId, work);

  const retried = async <T>(attempt: () => Promise<T>): Promise<T> => {
    try {
      return await attempt().catch((error: unknown) => {
        if (!isStalePlan(error)) throw error;
        names?.forget();
        return attempt();
      });
    } catch (error) {
      throw fromDriverError(error);
    }
  };

  return {
    name: `database pool ${options.applicationName}`,
    within: (scope, work) =>
      sharing(scope, () =>
        retried(() =>
          kysely.transaction().execute(async (transaction) => {
            await sql.raw(`begin; ${settings(scope)}`).execute(transaction);
            return work(transaction, async (next) => {
              await sql.raw(settings(next)).execute(transaction);
            });
          }),
        ),
      ),
    read: (scope, statement) =>
      sharing(scope, () =>
        retried(async () => {
          const { sql: text, parameters } = statement(kysely);
          const connection = new PooledConnection(await pool.connect(), names);
          return connection.readAlone(`begin read only; ${settings(scope)}`, text, parameters);
        }),
      ),
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

/**
 * Every setting every time, so that what a scope does not name is empty whatever the connection did before. As text without
 * parameters, which can be sent behind a BEGIN.
 */
function settings({ namespaceId = "", accountId = "", lookupId = "", node }: Scope): string {
  const setting = (name: string, value: string) => `set_config('routeplane.${name}', ${pg.escapeLiteral(value)}, true)`;
  const all = [
    setting("namespace_id", namespaceId),
    setting("account_id", accountId),
    setting("lookup_id", lookupId),
    setting("node", node ? THIS_NODE : ""),
    setting("origin", JSON.stringify(currentOrigin() ?? {})),
  ];
  return `select ${all.join(", ")}`;
}

/** BIGINT (oid 20) as bigint: money and counts are exact. Everything else as the driver has it. */
function exactIntegers(oid: number, format?: "text" | "binary") {
  return oid === 20 && format !== "binary" ? BigInt : getDriverParser(oid, format);
}

const getDriverParser = pg.types.getTypeParser as (oid: number, format?: string) => (value: string) => unknown;
