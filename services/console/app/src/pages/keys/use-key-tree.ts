import { useInfiniteQuery } from "@connectrpc/connect-query";
import { KeyService } from "@routeplane/contracts/auth";
import { useEffect, useMemo } from "react";
import { useNow } from "../../format/use-now.ts";
import { type KeyTree, keyTreeOf } from "./key-tree.ts";

/** Number of keys of one page: the maximum that the service returns at once. */
const PAGE_SIZE = 1_000;

/** Tree of the keys that were read so far, and the function that reads more. */
export interface KeyTreeQuery {
  /** Absent until the first page has been read. */
  readonly tree: KeyTree | undefined;
  readonly error: Error | null;
  readonly hasMore: boolean;
  readonly isReadingMore: boolean;
  /** Error of the last attempt to read more; null if it succeeded, or there was none. */
  readonly moreError: Error | null;
  readonly readMore: () => void;
  readonly retry: () => void;
}

/** Reads the keys of the namespace, 1,000 at a time, the oldest first, so that a key comes after its parent. */
export function useKeyTree(): KeyTreeQuery {
  const now = useNow();
  const query = useInfiniteQuery(
    KeyService.method.listKeys,
    { pageSize: PAGE_SIZE, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined },
  );
  const { data, error, hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage, refetch } = query;
  const tree = useMemo(
    () =>
      data &&
      keyTreeOf(
        data.pages.flatMap(({ keys }) => keys),
        now,
      ),
    [data, now],
  );
  return {
    tree,
    error: tree === undefined ? error : null,
    hasMore: hasNextPage,
    isReadingMore: isFetchingNextPage,
    moreError: isFetchNextPageError ? error : null,
    readMore: () => void fetchNextPage(),
    retry: () => void refetch(),
  };
}

/** Reads page after page while further keys are needed. After an error it stops: the person reads more by `readMore`. */
export function useAllKeys({ hasMore, isReadingMore, moreError, readMore }: KeyTreeQuery, isNeeded: boolean): void {
  const isNext = isNeeded && hasMore && !isReadingMore && moreError === null;
  useEffect(() => {
    if (isNext) readMore();
  });
}
