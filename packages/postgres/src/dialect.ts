import { PostgresDialect, PostgresDriver } from "kysely";
import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from "kysely";
import type pg from "pg";
import type { StatementNames } from "./statement-names.ts";

/**
 * Kysely over a pool, with two differences: who uses it begins a transaction (together with its scope, in one round trip),
 * and the connections are those of `pooledConnection`.
 */
export class ScopedDialect extends PostgresDialect {
  readonly #pool: ConstructorParameters<typeof PostgresDriver>[0]["pool"];

  /** @param names undefined: statements are not prepared */
  constructor(pool: pg.Pool, names: StatementNames | undefined) {
    const scoped = {
      options: {},
      connect: async () => new PooledConnection(await pool.connect(), names),
      end: () => pool.end(),
    };
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

export class PooledConnection implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #names: StatementNames | undefined;

  constructor(client: pg.PoolClient, names: StatementNames | undefined) {
    this.#client = client;
    this.#names = names;
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, values: readonly unknown[] = []): unknown {
    if (typeof text !== "string") throw new Error("rows are not streamed: read them by the page");
    // Without values it goes out as it is, and may be several statements.
    const name = values.length === 0 ? undefined : this.#names?.nameOf(text);
    return this.#client.query({ text, values: [...values], ...(name === undefined ? {} : { name }) });
  }

  /**
   * One statement in a transaction of its own, all of it sent at once and in one piece, after which the connection is
   * released. If the beginning fails, so does the rest, whose answer nobody gets then; if the statement fails, COMMIT is as
   * good as ROLLBACK.
   */
  async readAlone<R>(begin: string, text: string, values: readonly unknown[]): Promise<R[]> {
    const { stream } = this.#client.connection;
    stream.cork();
    const begun = this.query(begin, []);
    const answered = this.query<R>(text, values);
    const ended = this.query("commit", []);
    stream.uncork();
    // The answer does not wait for the end, with which nothing can go wrong that matters to it.
    void Promise.allSettled([begun, answered, ended]).then(() => this.release());
    await begun;
    return (await answered).rows;
  }

  /**
   * A connection that comes back inside a transaction (its ROLLBACK failed, or a query was given up) carries its tenant to
   * the next borrower: it is closed instead.
   */
  release(): void {
    this.#client.release(this.#client.getTransactionStatus() !== "I");
  }
}
