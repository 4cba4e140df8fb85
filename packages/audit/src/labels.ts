import { type RawBuilder, sql } from "kysely";
import type { AuditAction } from "./actions.ts";

/**
 * SQL for the action of an update.
 *
 * @param row SQL for the kind of the row, and for the JSON of the changed columns with their new values
 */
export function updateLabel(
  actions: readonly AuditAction[],
  row: { readonly kind: RawBuilder<unknown>; readonly became: RawBuilder<unknown> },
): RawBuilder<unknown> {
  const { kind, became } = row;
  const cases = actions.flatMap(({ action, when }) => {
    if (when === undefined) return [];
    const [actionKind = ""] = action.split(".");
    const column = sql.lit(when.column);
    return [
      sql`when ${kind} = ${sql.lit(actionKind)} and ${becomes(when.becomes, sql`${became} -> ${column}`)} then ${sql.lit(action)}`,
    ];
  });
  const fallback = sql`${kind} || '.update'`;
  return cases.length === 0 ? fallback : sql`case ${sql.join(cases, sql` `)} else ${fallback} end`;
}

/** @param newValue SQL for the JSON of the new value; NULL if the column did not change */
function becomes(
  change: NonNullable<AuditAction["when"]>["becomes"],
  newValue: RawBuilder<unknown>,
): RawBuilder<unknown> {
  switch (change) {
    case "set":
      return sql`${newValue} <> 'null'`;
    case "empty":
      return sql`${newValue} = 'null'`;
    case "changed":
      return sql`${newValue} is not null`;
    default:
      return sql`${newValue} = to_jsonb(${sql.lit(change.text)}::text)`;
  }
}
