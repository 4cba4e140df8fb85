import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from "kysely";
import type pg from "pg";

/** Default prefix of the names of roles, which the SQL of migrations uses. */
export const DEFAULT_ROLE_PREFIX = "routeplane";

/** Form of a prefix: names that begin with it need no quotes, and none is longer than Postgres allows. */
const PREFIX_FORM = /^[a-z][a-z0-9_]{0,39}$/;
export const ROLE_PREFIX_RULE = "must be a lower-case letter and at most 39 letters, digits or underscores";

export function parseRolePrefix(text: string): string | undefined {
  return PREFIX_FORM.test(text) ? text : undefined;
}

const ROLES_IN_SQL = /\brouteplane_(?=(?:(?:auth|policy|usage)(?:_owner)?|aggregator)\b)/g;

/** Replaces the default prefix in the name of a role, or in all names of roles in SQL, by another one. */
export function roleNameOf(text: string, prefix: string): string {
  return prefix === DEFAULT_ROLE_PREFIX ? text : text.replaceAll(ROLES_IN_SQL, `${prefix}_`);
}

/**
 * Pool for migrations that replaces the names of roles in their SQL, which have the default prefix, by those of the installation. The
 * prefix is that of the schema's owner, so that no setting can differ from it.
 */
export function poolWithRoleNames(pool: pg.Pool, schema: string): PostgresPool {
  return {
    options: {},
    async connect() {
      const client = await pool.connect();
      return new RenamingConnection(client, await findPrefix(client, schema));
    },
    end: () => pool.end(),
  };
}

async function findPrefix(client: pg.PoolClient, schema: string): Promise<string> {
  const owner = "select pg_get_userbyid(nspowner)::text as owner from pg_namespace where nspname = $1";
  const { rows } = await client.query<{ owner: string }>(owner, [schema]);
  const [, prefix] = /^(.+)_[a-z]+_owner$/.exec(rows[0]?.owner ?? "") ?? [];
  return prefix ?? DEFAULT_ROLE_PREFIX;
}

class RenamingConnection implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #prefix: string;

  constructor(client: pg.PoolClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, values: readonly unknown[] = []): unknown {
    if (typeof text !== "string") throw new Error("cursors are not supported in migrations");
    return this.#client.query(roleNameOf(text, this.#prefix), [...values]);
  }

  release(destroy?: boolean): void {
    this.#client.release(destroy);
  }
}
