import type { AuditEntry } from "@routeplane/contracts/audit";
import { toPageToken } from "@routeplane/rpc/page-token";

/** Page of the audit log of one service, or of several merged. */
export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditEntry[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * Merges pages of the logs of services into one, newest first. All are read with the same filter, page size and token, and the token of
 * the merged page continues all of them: paging through skips and repeats no entry.
 *
 * Ids sort by time: the newest entries of each page are the newest of all.
 */
export function mergeAuditPages(pages: readonly AuditPage[], pageSize: number): AuditPage {
  const all = pages.flatMap(({ entries }) => entries).filter(isReadByAll(pages));
  const newestFirst = all.toSorted((left, right) => (left.id < right.id ? 1 : -1));
  const entries = newestFirst.slice(0, pageSize);
  const more = newestFirst.length > entries.length || pages.some(({ nextPageToken }) => nextPageToken !== "");
  const last = entries.at(-1);
  return { entries, nextPageToken: more && last !== undefined ? toPageToken("audit-entries", last.id) : "" };
}

/**
 * Condition that every log was read back to the time of an entry. A page can have fewer entries than requested; without this condition,
 * older entries of another log would come before the remaining entries of this one.
 */
function isReadByAll(pages: readonly AuditPage[]): (entry: AuditEntry) => boolean {
  const ends = pages.flatMap(({ entries, nextPageToken }) => (nextPageToken === "" ? [] : (entries.at(-1)?.id ?? [])));
  return ({ id }) => ends.every((end) => id >= end);
}
