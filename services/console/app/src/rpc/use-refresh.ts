import { useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";

/** Returns the function that reads anew what the page shows, and what other pages have read, after a change. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries(), [queries]);
}

/** Returns the function that has all pages which are opened next read anew: after a change that leaves the page, whose things may be gone. */
export function useRefreshLater(): () => Promise<void> {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries({ refetchType: "none" }), [queries]);
}
