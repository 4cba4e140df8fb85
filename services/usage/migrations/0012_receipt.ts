import { type Kysely, sql } from "kysely";

const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

/** The receipt of a request; null where unknown, as for every earlier request. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column price_version text,
      add column input_price_pico_usd bigint check (input_price_pico_usd >= 0),
      add column output_price_pico_usd bigint check (output_price_pico_usd >= 0),
      add column cached_prompt_tokens bigint check (cached_prompt_tokens >= 0),
      add column reasoning_tokens bigint check (reasoning_tokens >= 0),
      add column admitted_at timestamptz,
      add column first_token_ms integer check (first_token_ms >= 0),
      add column upstream_ms integer check (upstream_ms >= 0),
      add constraint requests_price_check
        check (num_nulls(price_version, input_price_pico_usd, output_price_pico_usd) in (0, 3))`,
    sql`grant update (price_version, input_price_pico_usd, output_price_pico_usd, cached_prompt_tokens, reasoning_tokens,
      admitted_at, first_token_ms, upstream_ms) on requests to ${AGGREGATOR_ROLE}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
