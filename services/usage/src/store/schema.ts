import type { AuditSchema } from "@routeplane/audit";
import type { Id } from "@routeplane/domain";
import type { Generated, Selectable } from "kysely";
import type { DeadLetterState } from "../domain/dead-letters.ts";
import type { RequestStatus } from "../domain/request.ts";
import type { RequestRow } from "./request-columns.ts";

/** Tables of schema `usage` after all migrations. */
export interface UsageSchema extends AuditSchema {
  readonly requests: RequestTable;
  readonly rollups_hourly: RollupRow;
  readonly rollups_daily: RollupRow;
  readonly totals: TotalRow;
  readonly latencies_hourly: LatencyRow;
  readonly unlogged_denials: UnloggedDenialsRow;
  readonly unlogged_denials_hourly: Omit<UnloggedDenialsRow, "id" | "minute"> & {
    /** First moment of the hour, in UTC. */
    bucket: Date;
  };
  readonly dead_letters: DeadLetterTable;
  readonly installation: {
    /** Id with which the stream of usage events is marked. */
    id: string;
  };
  readonly aggregators: {
    /** Id of one run of one process. */
    id: string;
    /** Partitions of the stream that it owns. */
    partitions: number[];
    /** Time from which other aggregators may take them. */
    expires_at: Date;
  };
  readonly log_position: {
    /** Id of a transaction: everything that was in the stream when it ran is recorded; 0 if unknown. */
    consumed: bigint;
    /** Time of that transaction. */
    consumed_until: Date | null;
  };
  readonly retention: {
    /** Time before which partitions were dropped: only the sums of older requests are left. */
    kept_from: Date;
    /** Time before which sums were dropped too. */
    sums_kept_from: Generated<Date>;
  };
}

export type DeadLetterRow = Selectable<DeadLetterTable>;

interface DeadLetterTable {
  /** Empty if the event names none. */
  namespace_id: string;
  id: Id<"dl">;
  /** Empty if the event names none. */
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
  /** Sum that may exceed a BIGINT. */
  cost_nano_usd: bigint;
}

/** Sums over the requests of an hour or a day; also a change of them, by five minutes. */
export interface RollupRow extends CounterColumns {
  namespace_id: Id<"ns">;
  /** First moment of the hour or day, in UTC. */
  bucket: Date;
  key_id: Id<"key">;
  model: string;
  provider: string;
  status: RequestStatus;
}

/** Sums over the requests of a namespace, without denied ones. */
interface TotalRow extends CounterColumns {
  namespace_id: Id<"ns">;
  /** Length of the bucket: five minutes, or a day. */
  minutes: 5 | 1440;
  /** First moment of the five minutes or of the day, in UTC. */
  bucket: Date;
}

/** Histograms over the ended requests of an hour, each written as one whole number in text. */
interface LatencyRow {
  namespace_id: Id<"ns">;
  /** First moment of the hour, in UTC. */
  bucket: Date;
  model: string;
  provider: string;
  total_ms_histogram: string;
  first_token_ms_histogram: string;
}

interface UnloggedDenialsRow {
  namespace_id: Id<"ns">;
  id: Id<"den">;
  minute: Date;
  key_id: Id<"key">;
  model: string;
  provider: string;
  denied_count: bigint;
}

interface RequestTable extends RequestRow {
  /** Id of the transaction in which it ended, as a decimal; null while pending, and of rows from before this column. */
  ended_tx: string | null;
}
