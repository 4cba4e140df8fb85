import { callbackify } from "node:util";
import { DomainError, FairSlots } from "@routeplane/domain";
import { ConfigurationError, type Logger, type WatchedSecret } from "@routeplane/runtime";
import { type CompiledQuery, Kysely, type Transaction as KyselyTransaction, sql } from "kysely";
import pg from "pg";
import { DEFAULT_STATEMENT_TIMEOUT_MS } from "./config.ts";
import { CONNECT_TIMEOUT_MS, connectInTime, OPEN_TIMEOUT_MS } from "./connect-in-time.ts";
import { PooledConnection, ScopedDialect } from "./dialect.ts";
import { connectionFailure, fromDriverError, isUnreadableTable, unavailable } from "./errors.ts";
import { createLogin } from "./login.ts";
import { clientOf, isOfFormerLogin } from "./pool-client.ts";
import { observePool } from "./pool-metrics.ts";
import { type Scope, settingsOf } from "./scope.ts";
import { compareSchema, MIGRATION_TABLE, type SchemaComparison } from "./schema-state.ts";
import { isStalePlan, StatementNames } from "./statement-names.ts";

export type Transaction<Schema> = KyselyTransaction<Schema>;

/** Replaces the scope of a running transaction by another one. */
export type Enter = (scope: Scope) => Promise<void>;

export interface Database<Schema> {
  readonly name: string;
  /**
   * Runs `work` in one transaction that sees only the rows of `scope`. Costs two round trips on top of those of `work`: one
   * that begins and sets the scope, and the commit.
   *
   * @param work receives the transaction, and `enter` for a scope that is only known once something was read (the namespace
   *   of a token). Runs a second time, after a rollback, if a migration has just changed a table under a kept plan.
   * @throws DomainError UNAVAILABLE (dependency `postgres`) if the database does not answer in time
   */
  within<T>(scope: Scope, work: (transaction: Transaction<Schema>, enter: Enter) => Promise<T>): Promise<T>;
  /**
   * Runs one read-only statement that sees only the rows of `scope`, in a transaction of its own: one round trip instead of
   * three.
   *
   * @param statement compiles the statement; `builder` is only for that
   * @throws DomainError as `within`
   */
  read<Row>(scope: Scope, statement: (builder: Kysely<Schema>) => CompiledQuery<Row>): Promise<readonly Row[]>;
  /**
   * Runs statements one after the other on one connection, each in a transaction of its own that sees only the rows of its scope: one round
   * trip, and one wait for the disk, for all of them. A statement that fails, or waits for a lock for longer than `lockTimeoutMs`, changes
   * nothing and does not affect the others.
   *
   * @returns for each statement, in order, its rows or the error that `within` would throw, once all are durable
   * @throws DomainError as `within` if there is no connection, or if it is unknown which statements are durable
   */
  each<Row extends object>(
    statements: readonly ScopedStatement[],
    lockTimeoutMs: number,
  ): Promise<readonly PromiseSettledResult<readonly Row[]>[]>;
  /**
   * Compares the applied migrations with those that this build knows.
   *
   * @throws DomainError as `within`
   */
  schemaState(): Promise<SchemaComparison>;
  /** True if the database answers a query now. */
  isReachable(): Promise<boolean>;
  /**
   * Refuses to start against a database that `provision` has not prepared. A server that does not answer is no reason to refuse: every
   * connection is checked once it is opened.
   *
   * @throws ConfigurationError if the role has another search_path than the schema
   */
  requireProvisioned(): Promise<void>;
  stop(): Promise<void>;
}

/** Statement that is a transaction of its own. Its text is the same for all values. */
export interface ScopedStatement {
  readonly scope: Scope;
  readonly text: string;
  readonly values: readonly unknown[];
}

export interface DatabaseOptions {
  /**
   * Connection string. A changed one takes effect once the server accepts it: new connections use it, and old connections are closed at the
   * end of their transaction.
   */
  readonly url: string | WatchedSecret;
  /** Logger of changed connection strings. None by default. */
  readonly log?: Logger;
  /** Schema of unqualified names: the search_path that `provision` sets on the role. Connections without it are refused. */
  readonly schema: string;
  /** Migrations that this build knows, keyed by name; none by default. Their values are not used. */
  readonly migrations?: Readonly<Record<string, unknown>>;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Maximum number of connections; 10 by default. One namespace uses at most half of it at a time. */
  readonly poolSize?: number;
  /** Maximum run time of one statement in a transaction; 5 s by default. */
  readonly statementTimeoutMs?: number;
  /**
   * True to keep the plans of statements on each connection; false by default. For services with few, short statements that differ only in
   * their values. A pooler in between must support prepared statements (PgBouncer from 1.21).
   */
  readonly keepPlans?: boolean;
  /**
   * True to keep only generic plans, which do not depend on values; false by default. For statements whose best plan is the same for all
   * values, but which Postgres would plan again at each run because it overestimates their rows.
   */
  readonly genericPlans?: boolean;
}

/** Maximum number of transactions of one namespace that wait for a connection. */
const MAX_WAITING_TRANSACTIONS = 1_000;

export function openDatabase<Schema>(options: DatabaseOptions): Database<Schema> {
  const { schema, poolSize = 10, statementTimeoutMs = DEFAULT_STATEMENT_TIMEOUT_MS, genericPlans = false } = options;
  const login = createLogin(options.url, options.log);
  const pool = new pg.Pool({
    Client: clientOf(login),
    application_name: options.applicationName,
    max: poolSize,
    connectionTimeoutMillis: OPEN_TIMEOUT_MS,
    // The server's own time-out comes first; this one is for a server that does not answer at all.
    query_timeout: statementTimeoutMs + 1_000,
    // No settings here: they would be start-up parameters, which poolers refuse. `provision` sets them on the roles.
    verify: callbackify((client: pg.PoolClient) => requireSearchPath(client, schema)),
    types: { getTypeParser: exactIntegers },
    // Queries are sent without waiting for the results of earlier ones: see `read`.
    pipeline: true,
  });
  // A broken connection fails its running query, or the next one. Without listeners its error event would end the process; the
  // pool itself listens to idle connections only.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));

  observePool(pool);

  const names = options.keepPlans === true ? new StatementNames() : undefined;
  const connect = async (): Promise<PooledConnection> => {
    const client = await login
      .connectBy(() => connectInTime(pool.connect()))
      .catch((error: unknown) => {
        throw connectionFailure(error);
      });
    return new PooledConnection(client, names, () => isOfFormerLogin(client, login));
  };
  // Connections in use are closed when they are released.
  login.onReplaced(() => {
    for (let count = pool.idleCount; count > 0; count--)
      void connect().then(
        (idle) => idle.release(),
        () => {},
      );
  });

  const kysely = new Kysely<Schema>({ dialect: new ScopedDialect({ connect, end: () => pool.end() }) });

  /** Shares of the pool: transactions of one namespace often wait for each other's locks and must not hold up other namespaces. */
  const shares = new FairSlots({
    total: Infinity,
    perOwner: Math.ceil(poolSize / 2),
    waitingPerOwner: MAX_WAITING_TRANSACTIONS,
    waitMs: CONNECT_TIMEOUT_MS,
    refusal: () => unavailable("too many transactions of the namespace are waiting; try again"),
  });
  const withinShare = <T>({ namespaceId }: Scope, work: () => Promise<T>): Promise<T> =>
    namespaceId === undefined ? work() : shares.run(namespaceId, work);

  const settings = (scope: Scope, others: Readonly<Record<string, string>> = {}): string =>
    settingsOf(scope, {
      statement_timeout: String(statementTimeoutMs),
      ...others,
      ...(genericPlans ? { plan_cache_mode: "force_generic_plan" } : {}),
    });

  const retryOnStalePlan = async <T>(attempt: () => Promise<T>): Promise<T> => {
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

  const schemaState = async (): Promise<SchemaComparison> => {
    const known = Object.keys(options.migrations ?? {});
    try {
      const table = sql.id(options.schema, MIGRATION_TABLE);
      const { rows } = await sql<{ readonly name: string }>`select name from ${table}`.execute(kysely);
      const applied = rows.map(({ name }) => name);
      return compareSchema(known, applied);
    } catch (error) {
      if (isUnreadableTable(error)) return compareSchema(known, undefined);
      throw fromDriverError(error);
    }
  };

  return {
    name: `database pool ${options.applicationName}`,
    within: (scope, work) =>
      withinShare(scope, () =>
        retryOnStalePlan(() =>
          kysely.transaction().execute(async (transaction) => {
            await sql.raw(`begin; ${settings(scope)}`).execute(transaction);
            return work(transaction, async (next) => {
              await sql.raw(settings(next)).execute(transaction);
            });
          }),
        ),
      ),
    read: (scope, statement) =>
      withinShare(scope, () =>
        retryOnStalePlan(async () => {
          const { sql: text, parameters } = statement(kysely);
          const connection = await connect();
          return connection.readAlone(`begin read only; ${settings(scope)}`, text, parameters);
        }),
      ),
    async each<Row extends object>(statements: readonly ScopedStatement[], lockTimeoutMs: number) {
      // The flush after the last commit also covers all commits before it.
      const others = { lock_timeout: String(lockTimeoutMs), synchronous_commit: "off" };
      const transactions = statements.map(({ scope, text, values }) => {
        return { begin: `begin; ${settings(scope, others)}`, text, values };
      });
      try {
        const settled = await (await connect()).runEach<Row>(transactions);
        return settled.map((each) => {
          if (each.status === "fulfilled") return each;
          if (isStalePlan(each.reason)) names?.forget();
          return { status: "rejected", reason: fromDriverError(each.reason) };
        });
      } catch (error) {
        throw fromDriverError(error);
      }
    },
    schemaState,
    async isReachable() {
      try {
        await sql`select`.execute(kysely);
        return true;
      } catch {
        return false;
      }
    },
    async requireProvisioned() {
      try {
        (await connect()).release();
      } catch (error) {
        if (error instanceof DomainError && error.cause instanceof ConfigurationError) throw error.cause;
      }
    },
    stop: () => {
      login.stop();
      return kysely.destroy();
    },
  };
}

/** @throws DomainError UNAVAILABLE, with a ConfigurationError as cause, if `provision` has not prepared the role for the schema */
async function requireSearchPath(client: pg.PoolClient, schema: string): Promise<void> {
  const { rows } = await client.query<{ path: string; role: string; database: string }>(
    "select current_setting('search_path') as path, current_user as role, current_database() as database",
  );
  const [row] = rows;
  if (row?.path.split(",")[0]?.trim() === schema) return;
  const found = `the search_path of the role ${row?.role} in the database ${row?.database} is ${row?.path || "empty"}`;
  const mend = `run provision again, and connect as a role of that schema`;
  throw unavailable("the database is not provisioned", new ConfigurationError(`${found}, not ${schema}: ${mend}`));
}

const BIGINT_OID = 20;
const NUMERIC_OID = 1700;

/**
 * Parsers of column values: BIGINT and whole numbers of NUMERIC become bigint, so that money and counts are exact; other types keep the
 * driver's parsers.
 */
function exactIntegers(oid: number, format?: "text" | "binary") {
  if (format === "binary") return getDriverParser(oid, format);
  if (oid === NUMERIC_OID) return (text: string) => (/^-?\d+$/.test(text) ? BigInt(text) : text);
  return oid === BIGINT_OID ? BigInt : getDriverParser(oid, format);
}

const getDriverParser = pg.types.getTypeParser as (oid: number, format?: string) => (value: string) => unknown;
