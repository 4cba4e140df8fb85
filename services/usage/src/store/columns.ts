import { type RawBuilder, sql } from "kysely";

/** The columns of a row with their types, in order. */
export type Columns<Row> = { readonly [Column in keyof Row & string]: string };

/** Names of columns, separated by commas. */
export function names(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.ref(column)));
}

/** `rows` as a relation: each column travels as one array, so that any number of rows is one statement of one text. */
export function unnest<Row>(columns: Columns<Row>, rows: readonly Row[]): RawBuilder<unknown> {
  const all = Object.keys(columns) as (keyof Row & string)[];
  const arrays = all.map((column) => {
    const values = rows.map((row) => row[column]);
    // The driver would write a list within a list as an array of Postgres.
    const written = columns[column] === "jsonb" ? values.map((value) => JSON.stringify(value)) : values;
    return sql`${sql.val(written)}::${sql.raw(columns[column])}[]`;
  });
  return sql`unnest(${sql.join(arrays)})`;
}
