import { createConnectQueryKey, useInfiniteQuery, useTransport } from "@connectrpc/connect-query";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type RequestFilterSchema, UsageService } from "@routeplane/contracts/usage";
import { type InfiniteData, keepPreviousData, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

const PAGE_SIZE = 50;
/** Age up to which pages are shown again without a new read, e.g. on the way back from a receipt. Milliseconds. */
const STALE_MS = 5 * 60_000;

/** Pages of the request log, newest first, as of the time at which the first one was read. */
export function useRequestPages(filter: MessageInitShape<typeof RequestFilterSchema>) {
  const queries = useQueryClient();
  const transport = useTransport();
  const { data, isPlaceholderData, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    UsageService.method.listRequests,
    { filter, pageSize: PAGE_SIZE, pageToken: "" },
    {
      pageParamKey: "pageToken",
      getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined,
      placeholderData: keepPreviousData,
      staleTime: STALE_MS,
      refetchOnWindowFocus: false,
    },
  );
  /** Reads the first page again, and drops the others, because they followed the old first page. */
  const restart = useCallback((): void => {
    const queryKey = createConnectQueryKey({
      schema: UsageService.method.listRequests,
      transport,
      cardinality: "infinite",
    });
    queries.setQueriesData<InfiniteData<unknown>>(
      { queryKey },
      (read) => read && { pages: read.pages.slice(0, 1), pageParams: read.pageParams.slice(0, 1) },
    );
    void queries.invalidateQueries({ queryKey });
  }, [queries, transport]);
  const requests = useMemo(() => data?.pages.flatMap((page) => page.requests), [data]);
  return { requests, isPlaceholderData, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage, restart };
}
