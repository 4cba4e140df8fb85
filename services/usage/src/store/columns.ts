import { type RawBuilder, sql } from "kysely";
import { type ColumnType, encodeArray, type ValueOf } from "./binary-array.ts";

/** The columns of a row with their types, in order. */
export type Columns<Row> = { readonly [Column in keyof Row & string]: ColumnType };

/** Names of columns, separated by commas. */
export function names(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.ref(column)));
}

/**
 * A query for `rows`, in their order: each column travels as one array, so that any number of rows is one statement of one
 * text. They are unnested side by side where rows are made: in FROM, Postgres would first keep each column by itself, at 3
 * us a row.
 */
export function unnest<Row>(columns: Columns<Row>, rows: readonly Row[]): RawBuilder<unknown> {
  const all = Object.keys(columns) as (keyof Row & string)[];
  const arrays = all.map((column) => {
    const type = columns[column];
    const values = rows.map((row) => row[column] as ValueOf<ColumnType>);
    return sql`unnest(${sql.val(encodeArray<ColumnType>(type, values))}::${sql.raw(type)}[]) as ${sql.ref(column)}`;
  });
  return sql`select ${sql.join(arrays)}`;
}
