import { type RawBuilder, sql } from "kysely";
import type { AuditAction } from "./actions.ts";

/**
 * SQL for the action of an update.
 *
 * @param of SQL for the kind of the row, and for the JSON of the columns that changed, as they became
 */
export function updateLabel(
  actions: readonly AuditAction[],
  { kind, became }: { readonly kind: RawBuilder<unknown>; readonly became: RawBuilder<unknown> },
): RawBuilder<unknown> {
  const cases = actions.flatMap(({ action, when }) => {
    if (when === undefined) return [];
    const [own = ""] = action.split(".");
    const column = sql.lit(when.column);
    return [
      sql`when ${kind} = ${sql.lit(own)} and ${becomes(when.becomes, sql`${became} -> ${column}`)} then ${sql.lit(action)}`,
    ];
  });
  const other = sql`${kind} || '.update'`;
  return cases.length === 0 ? other : sql`case ${sql.join(cases, sql` `)} else ${other} end`;
}

/** @param value SQL for the JSON value, which is SQL's null if the column did not change */
function becomes(what: NonNullable<AuditAction["when"]>["becomes"], value: RawBuilder<unknown>): RawBuilder<unknown> {
  switch (what) {
    case "set":
      return sql`${value} <> 'null'`;
    case "empty":
      return sql`${value} = 'null'`;
    case "changed":
      return sql`${value} is not null`;
    default:
      return sql`${value} = to_jsonb(${sql.lit(what.text)}::text)`;
  }
}
