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
  by: { setting: "namespace_id" | "account_id" | "lookup_id"; column: string },
): RawBuilder<unknown>[] {
  const condition = sql`${sql.ref(by.column)} = (select nullif(current_setting(${sql.lit(`routeplane.${by.setting}`)}, true), ''))`;
  return [
    sql`alter table ${sql.table(table)} enable row level security, force row level security`,
    sql`create policy ${sql.id(`${role}_by_${by.setting}`)} on ${sql.table(table)} to ${sql.id(role)}
        using (${condition}) with check (${condition})`,
  ];
}
