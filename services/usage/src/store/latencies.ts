import { sql } from "kysely";
import { histogramOf } from "./histogram-numbers.ts";
import { startOf } from "./start-of-bucket.ts";

/** Columns of `written` that `ADD_LATENCIES` reads, of each row as it is and as it was. */
export const LATENCY_CELLS = sql`
  new.total_ms_cell as new_total_ms_cell, new.first_token_ms_cell as new_first_token_ms_cell,
  old.total_ms_cell as old_total_ms_cell, old.first_token_ms_cell as old_first_token_ms_cell`;

const cell = (name: string) => histogramOf(sql.ref(name));

/**
 * Parts of a statement that writes rows of the request log as `written`: changes the histograms by the changes of these rows. A row that
 * was counted before is subtracted from its former cell and model, and may be added to another one. So a change can be negative only if its
 * row of the histograms exists.
 */
export const ADD_LATENCIES = sql`
  latency_delta as materialized (
    select namespace_id, ${startOf("hour", "bucket")} as bucket, model, provider,
      coalesce(sum(total_ms), 0) as total_ms_histogram, coalesce(sum(first_token_ms), 0) as first_token_ms_histogram
    from (
      select namespace_id, bucket, new_model as model, new_provider as provider,
        ${cell("new_total_ms_cell")} as total_ms, ${cell("new_first_token_ms_cell")} as first_token_ms
      from written where new_total_ms_cell is not null
      union all
      select namespace_id, bucket, old_model, old_provider, -${cell("old_total_ms_cell")}, -${cell("old_first_token_ms_cell")}
      from written where old_total_ms_cell is not null
    ) as change
    group by 1, 2, 3, 4
  ),
  latency as (
    insert into latencies_hourly as kept (namespace_id, bucket, model, provider, total_ms_histogram, first_token_ms_histogram)
    select * from latency_delta order by namespace_id, bucket, model, provider
    on conflict (namespace_id, bucket, model, provider) do update set
      total_ms_histogram = kept.total_ms_histogram + excluded.total_ms_histogram,
      first_token_ms_histogram = kept.first_token_ms_histogram + excluded.first_token_ms_histogram
  )`;
