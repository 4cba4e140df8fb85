import type { Id } from "@routeplane/domain";
import type { ListedRequest, LoggedRequest, RequestStatus } from "./request.ts";
import type { UnloggedDenials } from "./unlogged-denials.ts";
import type { UsageGroup, UsageQuery, UsageRange } from "./usage.ts";

/** The one writer of the request log. */
export interface RequestLog {
  /**
   * Writes all of them in one transaction or none, by the rule of `merge` against what is there. At most one per request,
   * in order of key.
   *
   * @throws UnstorableError if a value among them cannot be stored, today or ever
   */
  record(requests: readonly LoggedRequest[]): Promise<void>;
  /**
   * Counts all of them in one transaction or none, each id once.
   *
   * @throws UnstorableError as `record`
   */
  recordDenials(denials: readonly UnloggedDenials[]): Promise<void>;
  /**
   * Makes pending requests whose time is over `unknown`, at the price of what they had reserved: at most `max` of them, those
   * that are overdue longest first. Returns how many.
   */
  expireRequests(max: number): Promise<bigint>;
  /** Makes room for the months ahead; returns the names of what it made. */
  createPartitions(): Promise<readonly string[]>;
  /** Drops the months that ended more than `keepDays` days ago, at least 30; returns the names of what it dropped. */
  dropExpiredPartitions(keepDays: number): Promise<readonly string[]>;
}

/** A value that the store refuses for what it is: trying again cannot help. */
export class UnstorableError extends Error {
  override readonly name = "UnstorableError";
}

/** What the query API reads: one namespace at a time. */
export interface UsageStore {
  /**
   * In order of time if hours or days are told apart, then by what was spent, most first.
   *
   * @throws DomainError INVALID_ARGUMENT if there are more groups than `MAX_GROUPS`
   */
  sumUsage(namespaceId: Id<"ns">, query: UsageQuery): Promise<readonly UsageGroup[]>;
  /**
   * As `usage`, over every namespace of the node.
   *
   * @param query its range is one of whole hours: of requests nothing is read
   */
  sumNodeUsage(query: UsageQuery): Promise<readonly UsageGroup[]>;
  /** Newest first. */
  list(namespaceId: Id<"ns">, page: PageRequest): Promise<Page>;
  get(namespaceId: Id<"ns">, id: Id<"req">): Promise<LoggedRequest | undefined>;
  /** Every row of these requests, in no order. */
  listByIds(namespaceId: Id<"ns">, ids: readonly Id<"req">[]): Promise<readonly ListedRequest[]>;
  /** The first namespace after `after`, in order of id, that has requests in a range. */
  nextNamespace(range: UsageRange, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /** Where the requests begin that end from now on. */
  endPosition(): Promise<EndPosition>;
  /** Requests that have ended after `after`, in the order in which they were recorded, and where the next ones begin. */
  listEnded(
    namespaceId: Id<"ns">,
    page: { readonly after: EndPosition; readonly size: number; readonly filter: RequestFilter },
  ): Promise<{ readonly rows: readonly ListedRequest[]; readonly next: EndPosition }>;
}

export interface PageRequest {
  readonly size: number;
  /** The page starts after this request; undefined: from the newest on. */
  readonly before: Position | undefined;
  readonly filter: RequestFilter;
}

/** A place in the log, whose order is that of time, then of ids. */
export type Position = Pick<LoggedRequest, "createdAt" | "id">;

/** A place in the order in which requests are recorded as ended: that of transactions, then of ids. */
export interface EndPosition {
  /** A transaction's number. */
  readonly transaction: bigint;
  /** The last one of that transaction that was read; undefined: none of it was. */
  readonly id: Id<"req"> | undefined;
}

/** What is undefined does not filter. */
export interface RequestFilter {
  readonly keyId: string | undefined;
  readonly model: string | undefined;
  readonly status: RequestStatus | undefined;
  readonly from: Date | undefined;
  /** Exclusive. */
  readonly to: Date | undefined;
  /** Those that stand so are left out. */
  readonly exceptStatus?: RequestStatus;
}

/** A page of the request log, and whether there is more. */
export interface Page {
  readonly rows: readonly ListedRequest[];
  readonly hasMore: boolean;
}
