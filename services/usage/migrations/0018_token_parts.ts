import { type Kysely, sql } from "kysely";

/**
 * Parts of the tokens of a request with rates of their own, its service tier, and what the upstream said of it; null where
 * unknown, as for every earlier request.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column cache_write_tokens bigint check (cache_write_tokens >= 0),
      add column prompt_audio_tokens bigint check (prompt_audio_tokens >= 0),
      add column completion_audio_tokens bigint check (completion_audio_tokens >= 0),
      add column cached_input_price_pico_usd bigint check (cached_input_price_pico_usd >= 0),
      add column cache_write_price_pico_usd bigint check (cache_write_price_pico_usd >= 0),
      add column input_audio_price_pico_usd bigint check (input_audio_price_pico_usd >= 0),
      add column output_audio_price_pico_usd bigint check (output_audio_price_pico_usd >= 0),
      add column reasoning_price_pico_usd bigint check (reasoning_price_pico_usd >= 0),
      add column service_tier text,
      add column upstream_status integer check (upstream_status between 100 and 999),
      add column upstream_request_id text collate "C",
      add column upstream_error text`,
    sql`grant update (cache_write_tokens, prompt_audio_tokens, completion_audio_tokens, cached_input_price_pico_usd,
      cache_write_price_pico_usd, input_audio_price_pico_usd, output_audio_price_pico_usd, reasoning_price_pico_usd,
      service_tier, upstream_status, upstream_request_id, upstream_error)
      on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
