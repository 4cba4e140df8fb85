import type { AuditSchema } from "@routeplane/audit";
import type { Id } from "@routeplane/domain";
import type { Generated, Selectable } from "kysely";
import type { DeadLetterState } from "../domain/dead-letters.ts";
import type { RequestStatus } from "../domain/request.ts";

/** The tables as the migrations leave them. */
export interface UsageSchema extends AuditSchema {
  readonly requests: RequestTable;
  readonly rollups_hourly: RollupRow;
  readonly rollups_daily: RollupRow;
  readonly totals: TotalRow;
  readonly unlogged_denials: UnloggedDenialsRow;
  readonly unlogged_denials_hourly: Omit<UnloggedDenialsRow, "id" | "minute"> & {
    /** First moment of the hour, in UTC. */
    bucket: Date;
  };
  readonly dead_letters: DeadLetterTable;
  readonly retention: {
    /** Of requests from before nothing is kept. */
    kept_from: Date;
  };
}

export type DeadLetterRow = Selectable<DeadLetterTable>;

interface DeadLetterTable {
  /** Empty if it does not say. */
  namespace_id: string;
  id: Id<"dl">;
  /** Empty if it does not say. */
  request_id: string;
  created_at: Generated<Date>;
  reason: string;
  payload: Buffer;
  digest: string;
  state: Generated<DeadLetterState>;
  changed_at: Generated<Date | null>;
  changed_by_id: Generated<string>;
}

interface CounterColumns {
  request_count: bigint;
  prompt_tokens: bigint;
  completion_tokens: bigint;
  cost_nano_usd: bigint;
}

/** Sums over the requests of an hour or a day; also what is added to them, in five minutes. */
export interface RollupRow extends CounterColumns {
  namespace_id: Id<"ns">;
  /** First moment of it, in UTC. */
  bucket: Date;
  key_id: Id<"key">;
  model: string;
  provider: string;
  status: RequestStatus;
}

/** Sums over the requests of a namespace that were not denied. */
interface TotalRow extends CounterColumns {
  namespace_id: Id<"ns">;
  /** How long the time is: five, or those of a day. */
  minutes: 5 | 1440;
  /** First moment of it, in UTC. */
  bucket: Date;
}

export interface UnloggedDenialsRow {
  namespace_id: Id<"ns">;
  id: Id<"den">;
  minute: Date;
  key_id: Id<"key">;
  model: string;
  provider: string;
  denied_count: bigint;
}

interface RequestTable extends RequestRow {
  /** The transaction in which it stopped being pending, as a decimal; null before, and of rows from before there was it. */
  ended_tx: string | null;
}

export interface RequestRow {
  namespace_id: Id<"ns">;
  id: Id<"req">;
  created_at: Date;
  key_id: Id<"key">;
  status: RequestStatus;
  endpoint: string;
  model: string;
  provider: string;
  streamed: boolean;
  reserved_nano_usd: bigint;
  prompt_tokens: bigint;
  completion_tokens: bigint;
  cost_nano_usd: bigint;
  estimated: boolean;
  http_status: number;
  error_code: string;
  denied_by_policy_id: string;
  denied_by_binding_id: string;
  denied_rule: string;
  shadow_denials: readonly { readonly policy_id: string; readonly binding_id: string; readonly rule: string }[];
  completed_at: Date | null;
  expires_at: Date | null;
  price_version: string | null;
  input_price_pico_usd: bigint | null;
  output_price_pico_usd: bigint | null;
  request_price_pico_usd: bigint | null;
  billed_model: string | null;
  cached_prompt_tokens: bigint | null;
  reasoning_tokens: bigint | null;
  admitted_at: Date | null;
  first_token_ms: number | null;
  upstream_ms: number | null;
  /** Null if there are none, or were none yet. */
  guardrail_decisions: readonly GuardrailDecisionJson[] | null;
}

export interface GuardrailDecisionJson {
  readonly policy_id: string;
  readonly binding_id: string;
  readonly rule: string;
  readonly pattern: string;
  readonly request_redactions: number;
  readonly response_redactions: number;
  readonly blocked_request: boolean;
  readonly blocked_response: boolean;
}
