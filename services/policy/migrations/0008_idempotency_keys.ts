import { type Kysely, sql } from "kysely";

/** One reservation that is not voided for each idempotency key of a key. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table holds add column idempotency_key text collate "C" check (length(idempotency_key) between 1 and 255)`,
    sql`create unique index holds_idempotency_key on holds (namespace_id, key_id, idempotency_key)
      where idempotency_key is not null and state <> 'voided'`,
  ];
  for (const statement of statements) await statement.execute(db);
}
