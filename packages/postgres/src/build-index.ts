import { type Kysely, sql } from "kysely";

export interface IndexPlan {
  readonly name: string;
  /** Table, or parent of partitions of one level. */
  readonly table: string;
  /** Rest of the statement after the table, e.g. `(namespace_id, created_at)` or `using gin (scopes)`, including any `where …`. */
  readonly definition: string;
}

interface Partition {
  readonly partition: string;
  readonly isAttached: boolean;
}

/**
 * Builds an index while requests go on reading and writing the table, for a migration with `isConcurrent`. Running it again
 * completes a build that was interrupted: an index that such a build left invalid is dropped first.
 */
export async function buildIndex(db: Kysely<unknown>, { name, table, definition }: IndexPlan): Promise<void> {
  const { rows } = await sql<{ readonly isPartitioned: boolean }>`
    select relkind = 'p' as "isPartitioned" from pg_catalog.pg_class where oid = ${table}::regclass`.execute(db);
  if (rows[0]?.isPartitioned !== true) return buildOne(db, { name, table, definition });
  // The index of the parent is invalid until the index of each partition is attached. New partitions get an index at once.
  await sql`create index if not exists ${sql.id(name)} on only ${sql.table(table)} ${sql.raw(definition)}`.execute(db);
  for (const { partition, isAttached } of await partitionsOf(db, table, name)) {
    if (isAttached) continue;
    const part = `${partition}_${name}`;
    await buildOne(db, { name: part, table: partition, definition });
    await sql`alter index ${sql.id(name)} attach partition ${sql.id(part)}`.execute(db);
  }
}

async function buildOne(db: Kysely<unknown>, { name, table, definition }: IndexPlan): Promise<void> {
  const { rows } = await sql<{ readonly isValid: boolean }>`
    select indisvalid as "isValid" from pg_catalog.pg_index
    where indexrelid = to_regclass(quote_ident(${name}))`.execute(db);
  if (rows[0]?.isValid === false) await sql`drop index concurrently ${sql.id(name)}`.execute(db);
  await sql`create index concurrently if not exists ${sql.id(name)} on ${sql.table(table)} ${sql.raw(definition)}`.execute(
    db,
  );
}

async function partitionsOf(db: Kysely<unknown>, table: string, index: string): Promise<readonly Partition[]> {
  const { rows } = await sql<Partition>`
    select c.relname as partition, exists (
      select from pg_catalog.pg_inherits of_index
        join pg_catalog.pg_index part on part.indexrelid = of_index.inhrelid
      where of_index.inhparent = ${index}::regclass and part.indrelid = c.oid
    ) as "isAttached"
    from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = ${table}::regclass
    order by c.relname`.execute(db);
  return rows;
}
