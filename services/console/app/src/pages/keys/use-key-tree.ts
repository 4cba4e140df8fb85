import { useInfiniteQuery } from "@connectrpc/connect-query";
import { KeyService } from "@routeplane/contracts/auth";
import { useMemo } from "react";
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
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage, refetch } = query;
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
    readMore: () => void fetchNextPage(),
    retry: () => void refetch(),
  };
}
