import type { Id } from "@routeplane/domain";
import type { ListedRequest, LoggedRequest, RequestStatus, SessionRequest } from "./request.ts";
import type { UnloggedDenials } from "./unlogged-denials.ts";
import type { UsageGroup, UsageQuery, UsageRange } from "./usage.ts";

/** Request log as the aggregator, its only writer, writes it. */
export interface RequestLog {
  /**
   * Writes all observations in one transaction or none, replacing existing rows by the rule of `supersedes`. Takes at most one for each
   * request, in order of key, as `deduplicate` returns them.
   *
   * @throws UnstorableError if a value among them can never be stored
   */
  record(requests: readonly LoggedRequest[]): Promise<void>;
  /**
   * Adds all counts in one transaction or none, each id once.
   *
   * @throws UnstorableError as `record`
   */
  recordDenials(denials: readonly UnloggedDenials[]): Promise<void>;
  /**
   * Makes pending requests whose reservation has expired `unknown`, charged as reserved: at most `max` of them, those that expired first.
   *
   * @returns their number
   */
  expireRequests(max: number): Promise<bigint>;
  /**
   * Creates the partitions of this month and the next ones, of requests and of sums.
   *
   * @param dailyFromBytes size of a month of requests above which the next month gets a partition for each day; undefined: never
   * @returns the names of the new partitions
   * @throws AggregateError if the partitions of a table cannot be created; those of the other tables are created
   */
  createPartitions(dailyFromBytes: number | undefined): Promise<readonly string[]>;
  /** Reads the time before which rows were dropped. It never decreases: a longer retention restores no row. */
  keptFrom(): Promise<Date>;
  /** Drops the partitions that ended more than `retentionDays` (at least 30) days ago; sums stay. @returns their names */
  dropExpiredPartitions(retentionDays: number): Promise<readonly string[]>;
  /**
   * Drops the months of sums that ended more than `retentionDays` (at least 30) days ago, but none with requests in the log.
   *
   * @returns their names
   */
  dropExpiredSums(retentionDays: number): Promise<readonly string[]>;
}

/** Thrown for a value that the store can never accept: trying again cannot help. */
export class UnstorableError extends Error {
  override readonly name = "UnstorableError";
}

/** Request log and sums as the query API reads them. */
export interface UsageStore {
  /**
   * Sums the usage of a namespace by groups, ordered by time if the query groups by hour or day, then by cost, highest first.
   *
   * @throws DomainError INVALID_ARGUMENT if there are more groups than `MAX_GROUPS`, or the range begins before the kept sums
   */
  sumUsage(namespaceId: Id<"ns">, query: UsageQuery): Promise<readonly UsageGroup[]>;
  /**
   * Sums as `sumUsage` does, over every namespace of the node.
   *
   * @param query its range consists of whole hours: no requests are read
   */
  sumNodeUsage(query: UsageQuery): Promise<readonly UsageGroup[]>;
  /** Lists requests, newest first. */
  list(namespaceId: Id<"ns">, page: PageRequest): Promise<Page>;
  get(namespaceId: Id<"ns">, id: Id<"req">): Promise<LoggedRequest | undefined>;
  /** Lists every row of these requests, in any order. */
  listByIds(namespaceId: Id<"ns">, ids: readonly Id<"req">[]): Promise<readonly ListedRequest[]>;
  /** Lists requests that a gateway session admitted on its slices, newest first. */
  listOfSession(
    namespaceId: Id<"ns">,
    sessionId: Id<"gws">,
    page: { readonly size: number; readonly before: Position | undefined; readonly range: UsageRange },
  ): Promise<{ readonly rows: readonly SessionRequest[]; readonly hasMore: boolean }>;
  /** Returns the first namespace after `after`, in order of id, that has requests in a range. */
  nextNamespace(range: UsageRange, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /** Returns the position from which `listEnded` lists the requests that end from now on. */
  endPosition(): Promise<EndPosition>;
  /** Lists requests that ended after a position, in the order in which their end was recorded, and the next position. */
  listEnded(
    namespaceId: Id<"ns">,
    page: { readonly after: EndPosition; readonly size: number; readonly filter: RequestFilter },
  ): Promise<{ readonly rows: readonly ListedRequest[]; readonly next: EndPosition }>;
}

export interface PageRequest {
  readonly size: number;
  /** Request after which the page starts; undefined: at the newest. */
  readonly before: Position | undefined;
  readonly filter: RequestFilter;
}

/** Position in the request log, which is ordered by time, then by id. */
export type Position = Pick<LoggedRequest, "createdAt" | "id">;

/** Position among ended requests, which are ordered by the transaction that recorded their end, then by id. */
export interface EndPosition {
  readonly transaction: bigint;
  /** Last request of the transaction that was read; undefined if none was. */
  readonly id: Id<"req"> | undefined;
}

/** Filter of the request log. Undefined fields do not filter. */
export interface RequestFilter {
  readonly keyId: string | undefined;
  readonly model: string | undefined;
  readonly provider: string | undefined;
  readonly status: RequestStatus | undefined;
  readonly from: Date | undefined;
  /** Exclusive end. */
  readonly to: Date | undefined;
  /** Status whose requests are left out. */
  readonly exceptStatus?: RequestStatus;
}

export const NO_FILTER: RequestFilter = {
  keyId: undefined,
  model: undefined,
  provider: undefined,
  status: undefined,
  from: undefined,
  to: undefined,
};

export interface Page {
  readonly rows: readonly ListedRequest[];
  readonly hasMore: boolean;
}

/** Position in the stream of usage events, as an id of a transaction of the log's database. */
export interface LogPosition {
  /** Position at the moment at which it was read. */
  readonly now: bigint;
  /** Position up to which everything in the stream is recorded; 0 if unknown. */
  readonly consumed: bigint;
  /** Time of `consumed`, by the clock of the database; undefined if unknown. */
  readonly consumedUntil: Date | undefined;
}

/** Store in which the aggregator updates the position. */
export interface LogPositionMarks {
  /** Reads the present position, before the end of the stream is read. */
  begin(): Promise<Omit<LogPosition, "now">>;
  /** Stores that everything up to the end of the stream, read after `begin`, is recorded. */
  end(mark: Omit<LogPosition, "now">): Promise<void>;
}

/** Running aggregator, and the partitions of the stream that it owns. */
export interface RunningAggregator {
  readonly id: string;
  readonly partitions: readonly number[];
}

/** Registry of the aggregators that share the partitions. */
export interface AggregatorRegistry {
  /** Id of this run of this process. */
  readonly id: string;
  /**
   * Under a lock that all aggregators share, reads the aggregators whose registration has not ended, and registers this one for
   * `durationMs` with the partitions that `choose` returns.
   */
  exchange(durationMs: number, choose: (aggregators: readonly RunningAggregator[]) => readonly number[]): Promise<void>;
  /** Ends the registration of this aggregator. */
  leave(): Promise<void>;
}
