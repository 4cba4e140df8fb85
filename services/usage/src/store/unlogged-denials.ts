import { sql } from "kysely";
import type { UnloggedDenials } from "../domain/unlogged-denials.ts";
import { type Columns, names, unnest } from "./columns.ts";
import { startOf } from "./rollups.ts";
import type { UnloggedDenialsRow } from "./schema.ts";

const COLUMNS = {
  namespace_id: "text",
  id: "text",
  minute: "timestamptz",
  key_id: "text",
  model: "text",
  provider: "text",
  denied_count: "bigint",
} as const satisfies Columns<UnloggedDenialsRow>;

const HOUR = ["namespace_id", "bucket", "key_id", "model", "provider"];

/**
 * Counts each id once: what is there already adds nothing to the sums. One statement, and every row in order of key, so that
 * replicas do not deadlock.
 */
export function insertDenials(denials: readonly UnloggedDenials[]) {
  const columns = names(Object.keys(COLUMNS));
  return sql`
    with counted as (
      insert into unlogged_denials (${columns})
      select ${columns} from (${unnest(COLUMNS, denials.map(toRow))}) as event order by namespace_id, id
      on conflict (namespace_id, id) do nothing
      returning namespace_id, ${startOf("hour", "minute")} as bucket, key_id, model, provider, denied_count
    )
    insert into unlogged_denials_hourly as kept (${names(HOUR)}, denied_count)
    select ${names(HOUR)}, sum(denied_count)::bigint from counted group by ${names(HOUR)} order by ${names(HOUR)}
    on conflict (${names(HOUR)}) do update set denied_count = kept.denied_count + excluded.denied_count`;
}

function toRow({ namespaceId, id, minute, keyId, model, provider, deniedCount }: UnloggedDenials): UnloggedDenialsRow {
  return { namespace_id: namespaceId, id, minute, key_id: keyId, model, provider, denied_count: deniedCount };
}
