import { PostgresDialect, PostgresDriver } from "kysely";
import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from "kysely";
import type pg from "pg";
import type { StatementNames } from "./statement-names.ts";

/** Pool of connections for the dialect. */
export interface ScopedPool {
  connect(): Promise<PooledConnection>;
  end(): Promise<void>;
}

/**
 * Kysely dialect over a pool, with two differences from its own: the caller sends BEGIN (with the scope, in one round trip), and
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

/** A connection of the pool that names statements and is closed, not reused, if it comes back inside a transaction. */
export class PooledConnection implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #names: StatementNames | undefined;
  readonly #isExpired: () => boolean;

  /**
   * @param names names of prepared statements; undefined: statements are not prepared
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
    // Without values the text is sent as it is, and can hold several statements.
    const name = values.length === 0 ? undefined : this.#names?.nameOf(text);
    return this.#client.query({ text, values: [...values], ...(name === undefined ? {} : { name }) });
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
   * Returns the connection to the pool, or closes it if it has expired or is inside a transaction (ROLLBACK failed, or a query
   * timed out): otherwise the next borrower would see the rows of this scope.
   */
  release(): void {
    this.#client.release(this.#isExpired() || this.#client.getTransactionStatus() !== "I");
  }
}
