import { type Kysely, sql } from "kysely";

/**
 * Lineages, from the root key down, of the key that created a policy or a binding, and of the key that a binding is on. Empty in
 * older rows, which count as created by a root key.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table policies add column creator_lineage text[] collate "C" not null default '{}'`,
    sql`alter table bindings
      add column creator_lineage text[] collate "C" not null default '{}',
      add column principal_lineage text[] collate "C" not null default '{}'`,
  ];
  for (const statement of statements) await statement.execute(db);
}
