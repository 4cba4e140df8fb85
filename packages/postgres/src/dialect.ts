import { PostgresDialect, PostgresDriver, type RawBuilder, sql } from "kysely";
import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from "kysely";
import type pg from "pg";
import type { StatementNames } from "./statement-names.ts";

/** Pool of connections for the dialect. */
export interface ScopedPool {
  connect(): Promise<PooledConnection>;
  end(): Promise<void>;
}

/**
 * Kysely dialect over a pool, with two differences from Kysely's own: the caller sends BEGIN (with the scope, in one round trip), and
 * connections are `PooledConnection`s.
 */
export class ScopedDialect extends PostgresDialect {
  readonly #pool: ScopedPool & { readonly options: object };

  constructor(pool: ScopedPool) {
    const scoped = { ...pool, options: {} };
    super({ pool: scoped });
    this.#pool = scoped;
  }

  override createDriver(): PostgresDriver {
    return new ScopedDriver({ pool: this.#pool });
  }
}

class ScopedDriver extends PostgresDriver {
  override async beginTransaction(): Promise<void> {}
}

/**
 * First word of the text that begins a transaction and sets its scope. If that text fails, the statement that was sent with it runs without
 * a scope, so that row-level security shows it no rows, and the error of BEGIN is thrown.
 */
const BEGIN = "begin;";
/** Beginning of a statement that ends its transaction: see `andCommit`. */
const AND_COMMIT = "/* and commit */ ";

/** Transaction that writes an empty message to the write-ahead log, so that its commit waits until all earlier commits are on the disk. */
const FLUSH = "select pg_logical_emit_message(true, 'routeplane', '')";

const NO_ROWS = { command: "SELECT", rowCount: 0, rows: [] };

/**
 * Marks a statement so that its transaction is committed after it, in the same round trip. It must be the last one of the transaction. If
 * it fails, its error is thrown, and the transaction is rolled back.
 */
export function andCommit(statement: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`${sql.raw(AND_COMMIT)}${statement}`;
}

/**
 * Connection of the pool. It names prepared statements, and is closed instead of reused if it is released inside a transaction. BEGIN is
 * sent with the statement that follows it, and COMMIT with the last statement if that is known: a round trip costs this process and
 * Postgres about 0.1 ms of CPU each.
 */
export class PooledConnection implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #names: StatementNames | undefined;
  readonly #isExpired: () => boolean;
  /** Text that begins a transaction, not sent yet. */
  #begin: string | undefined;
  #isCommitted = false;

  /**
   * @param names names of prepared statements; undefined to prepare none
   * @param isExpired true if the connection is not to be used again
   */
  constructor(client: pg.PoolClient, names: StatementNames | undefined, isExpired: () => boolean) {
    this.#client = client;
    this.#names = names;
    this.#isExpired = isExpired;
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, values: readonly unknown[] = []): unknown {
    if (typeof text !== "string") throw new Error("cursors are not supported: read rows in pages");
    if (text.startsWith(BEGIN)) {
      this.#begin = text;
      this.#isCommitted = false;
      return Promise.resolve(NO_ROWS);
    }
    if (this.#isCommitted && text !== "rollback") {
      if (text !== "commit") throw new Error("a statement follows the one that committed its transaction");
      return Promise.resolve(NO_ROWS);
    }
    return this.#sendTogether(text, values);
  }

  /** Sends a statement, together with the BEGIN before it and the COMMIT after it if these are due. */
  #sendTogether(text: string, values: readonly unknown[]): Promise<unknown> {
    const begin = this.#begin;
    const ends = text.startsWith(AND_COMMIT);
    if (begin === undefined && !ends) return this.#send(text, values);
    this.#begin = undefined;
    const { stream } = this.#client.connection;
    stream.cork();
    const begun = begin === undefined ? undefined : this.#send(begin, []);
    const answered = this.#send(text, values);
    const ended = ends ? this.#send("commit", []) : undefined;
    stream.uncork();
    // All are awaited below, except those after one that failed.
    for (const each of [begun, answered, ended]) each?.catch(() => {});
    return (async () => {
      await begun;
      const result = await answered;
      await ended;
      this.#isCommitted = ends;
      return result;
    })();
  }

  #send<R extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<pg.QueryResult<R>> {
    // Without values the text is sent as it is, and can hold several statements.
    const name = values.length === 0 ? undefined : this.#names?.nameOf(text);
    return this.#client.query<R>({ text, values: [...values], ...(name === undefined ? {} : { name }) });
  }

  /**
   * Runs one statement in a transaction of its own, sends BEGIN, statement and COMMIT in one piece, and releases the
   * connection. If BEGIN fails, its error is thrown and the other results are ignored; if the statement fails, COMMIT rolls
   * back.
   */
  async readAlone<R>(begin: string, text: string, values: readonly unknown[]): Promise<R[]> {
    const { stream } = this.#client.connection;
    stream.cork();
    const begun = this.query(begin, []);
    const selected = this.query<R>(text, values);
    const ended = this.query("commit", []);
    stream.uncork();
    // The rows do not wait for COMMIT: its failure cannot change what was read.
    void Promise.allSettled([begun, selected, ended]).then(() => this.release());
    await begun;
    return (await selected).rows;
  }

  /**
   * Runs statements, each in a transaction of its own, and then flushes their commits to the disk. Everything is sent in one piece; then
   * the connection is released. For a statement that fails, COMMIT rolls back.
   *
   * @throws the error of the flush: what was committed may be lost
   */
  async runEach<R extends pg.QueryResultRow>(
    transactions: readonly { readonly begin: string; readonly text: string; readonly values: readonly unknown[] }[],
  ): Promise<readonly PromiseSettledResult<readonly R[]>[]> {
    const { stream } = this.#client.connection;
    stream.cork();
    const sent = transactions.map(async ({ begin, text, values }) => {
      const all = [this.#send(begin, []), this.#send<R>(text, values), this.#send("commit", [])] as const;
      return (await Promise.all(all))[1].rows;
    });
    const flushed = this.#send(FLUSH, []);
    stream.uncork();
    const settled = await Promise.allSettled(sent);
    try {
      await flushed;
    } finally {
      this.release();
    }
    return settled;
  }

  /**
   * Returns the connection to the pool, or closes it if it has expired or is inside a transaction (ROLLBACK failed, or a query
   * timed out): otherwise the next borrower would see the rows of this scope.
   */
  release(): void {
    this.#client.release(this.#isExpired() || this.#client.getTransactionStatus() !== "I");
  }
}
