import { type RawBuilder, sql } from "kysely";
import { type ColumnType, encodeArray, type ValueOf } from "./binary-array.ts";

/** Column of the rows that are made of items: its type in Postgres, and its value for one item. */
export interface Column<Item, Value = unknown> {
  readonly type: ColumnType;
  readonly get: (item: Item) => Value;
  /** Encodes its values for all items as one array of Postgres. */
  readonly encode: (items: readonly Item[]) => Buffer;
}

/** Columns keyed by name, in order. */
export type Columns<Item> = Readonly<Record<string, Column<Item>>>;

/** Row that has such columns. */
export type RowOf<Named extends Columns<never>> = { -readonly [Name in keyof Named]: ReturnType<Named[Name]["get"]> };

/** Returns the function that declares columns of one kind of item, e.g. `column("text", ({ id }) => id)`. */
export function columnOf<Item>() {
  return <Type extends ColumnType, Value extends ValueOf<Type>>(
    type: Type,
    get: (item: Item) => Value,
  ): Column<Item, Value> => ({ type, get, encode: (items) => encodeArray(type, items.map(get)) });
}

export function columnNames<Named extends object>(columns: Named): readonly (keyof Named & string)[] {
  return Object.keys(columns) as (keyof Named & string)[];
}

/** Lists names of columns in SQL, separated by commas. */
export function names(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.ref(column)));
}

/**
 * Builds a query for the rows of `items`, in their order. Each column is sent as one array, so that any number of rows is one
 * statement with one text. The arrays are unnested in the select list: in FROM, Postgres would first store each column, which
 * takes 3 µs a row.
 */
export function unnest<Item>(columns: Columns<Item>, items: readonly Item[]): RawBuilder<unknown> {
  const arrays = Object.entries(columns).map(
    ([name, { type, encode }]) => sql`unnest(${sql.val(encode(items))}::${sql.raw(type)}[]) as ${sql.ref(name)}`,
  );
  return sql`select ${sql.join(arrays)}`;
}
