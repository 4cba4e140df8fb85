import { useInfiniteQuery, useQuery } from "@connectrpc/connect-query";
import { AccountService, NamespaceService } from "@routeplane/contracts/auth";
import { useMemo } from "react";
import { holdsScope, useSession } from "../../session/use-session.ts";

const PAGE_SIZE = 1_000;

/** Reads the namespaces in the reach of the operator, 1,000 at a time, the oldest first. */
export function useNamespaces(showDeleted: boolean) {
  return useInfiniteQuery(
    NamespaceService.method.listNamespaces,
    { pageSize: PAGE_SIZE, showDeleted, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined },
  );
}

/** Names of accounts by id; empty without the scope `accounts:read`. */
export function useAccountNames(): ReadonlyMap<string, string> {
  const enabled = holdsScope(useSession(), "accounts:read");
  const { data } = useQuery(AccountService.method.listAccounts, { pageSize: PAGE_SIZE }, { enabled });
  return useMemo(() => new Map(data?.accounts.map(({ id, name }) => [id, name])), [data]);
}
