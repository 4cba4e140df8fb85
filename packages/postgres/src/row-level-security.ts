import { type RawBuilder, sql } from "kysely";

/**
 * Statements that force row-level security on a table, also for its owner. They show `role` only the rows whose column equals the
 * transaction's setting (see `Database.within`); without the setting, none.
 *
 * @param by the setting, and the column that is compared with it
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

/** Value of the column `node` in every row, and of the setting in a transaction of the whole node. */
export const THIS_NODE = "this";

/**
 * Statements that also show `role` every row of a table in a transaction of the whole node. Only for tables above namespaces.
 */
export function openToNode(table: string, role: string): RawBuilder<unknown>[] {
  // A virtual column: it cannot be written and takes no space.
  const column = sql`node text collate "C" not null generated always as (${sql.lit(THIS_NODE)}) virtual`;
  return [
    sql`alter table ${sql.table(table)} add column ${column}`,
    ...isolateBy(table, role, { setting: "node", column: "node" }),
  ];
}
