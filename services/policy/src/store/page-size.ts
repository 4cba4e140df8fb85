/** Bounds of the bytes that are read for a page: a page of policies can be large, however few they are. */
import { type RawBuilder, sql } from "kysely";

/** Sum of a column over the rows of a list up to each one, as `size_up_to`. Postgres reads no value of the rows for it. */
export function withSizeUpTo(order: string, bytes: string) {
  const sum: RawBuilder<string> = sql`sum(${sql.ref(bytes)}) over (order by ${sql.ref(order)})`;
  return sum.as("size_up_to");
}

/** Ids of the rows of a page: at most `size` rows and at most `maxBytes` together, but at least one row if there is any. */
export async function idsOfPage<Row extends { readonly id: string; readonly size_up_to: string }>(
  sized: { execute(): Promise<Row[]> },
  { size, maxBytes }: { readonly size: number; readonly maxBytes: number },
): Promise<{ readonly ids: readonly Row["id"][]; readonly hasMore: boolean }> {
  const all = await sized.execute();
  const fitting = all.filter(
    ({ size_up_to }, index) => index < size && (index === 0 || Number(size_up_to) <= maxBytes),
  );
  return { ids: fitting.map(({ id }) => id), hasMore: all.length > fitting.length };
}
