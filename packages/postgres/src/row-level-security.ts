import { type RawBuilder, sql } from "kysely";

/**
 * Statements that make row-level security hold for a table, for its owner too, and let `role` see the rows whose `column`
 * equals the transaction's setting (see `within`). Without the setting it sees none.
 *
 * @param by which setting, and the column that is held against it
 */
export function isolateBy(
  table: string,
  role: string,
  by: { setting: "namespace_id" | "account_id" | "lookup_id" | "node"; column: string },
): RawBuilder<unknown>[] {
  const condition = sql`${sql.ref(by.column)} = (select nullif(current_setting(${sql.lit(`routeplane.${by.setting}`)}, true), ''))`;
  return [
    sql`alter table ${sql.table(table)} enable row level security, force row level security`,
    sql`create policy ${sql.id(`${role}_by_${by.setting}`)} on ${sql.table(table)} to ${sql.id(role)}
        using (${condition}) with check (${condition})`,
  ];
}

/** What the column `node` holds in every row, and the setting in a transaction of the whole node. */
export const THIS_NODE = "this";

/**
 * Statements that let `role` see, besides what it sees already, every row of a table in a transaction of the whole node. Only
 * for what is above namespaces.
 */
export function openToNode(table: string, role: string): RawBuilder<unknown>[] {
  // Nobody can write it, and it takes no space.
  const column = sql`node text collate "C" not null generated always as (${sql.lit(THIS_NODE)}) virtual`;
  return [
    sql`alter table ${sql.table(table)} add column ${column}`,
    ...isolateBy(table, role, { setting: "node", column: "node" }),
  ];
}
