import { sql } from "kysely";
import type { UnloggedDenials } from "../domain/unlogged-denials.ts";
import { columnOf, names, statementOver } from "./columns.ts";
import { startOf } from "./start-of-bucket.ts";

const column = columnOf<UnloggedDenials>();

const COLUMNS = {
  namespace_id: column("text", ({ namespaceId }) => namespaceId),
  id: column("text", ({ id }) => id),
  minute: column("timestamptz", ({ minute }) => minute),
  key_id: column("text", ({ keyId }) => keyId),
  model: column("text", ({ model }) => model),
  provider: column("text", ({ provider }) => provider),
  denied_count: column("bigint", ({ deniedCount }) => deniedCount),
};

const HOUR = ["namespace_id", "bucket", "key_id", "model", "provider"];

/**
 * Counts denials, each id once: an id that is already stored adds nothing to the sums. Rows are locked in order of key, so that replicas do
 * not deadlock.
 */
export const insertDenials = statementOver(COLUMNS, (rows) => {
  const columns = names(Object.keys(COLUMNS));
  return sql`
    with counted as (
      insert into unlogged_denials (${columns})
      select ${columns} from (${rows}) as event order by namespace_id, id
      on conflict (namespace_id, id) do nothing
      returning namespace_id, ${startOf("hour", "minute")} as bucket, key_id, model, provider, denied_count
    )
    insert into unlogged_denials_hourly as kept (${names(HOUR)}, denied_count)
    select ${names(HOUR)}, sum(denied_count)::bigint from counted group by ${names(HOUR)} order by ${names(HOUR)}
    on conflict (${names(HOUR)}) do update set denied_count = kept.denied_count + excluded.denied_count`;
});
