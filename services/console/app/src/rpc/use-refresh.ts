import { useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";

/** Returns a function that, after a change, reads again the data of the page and of other pages. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries(), [queries]);
}

/**
 * Returns a function that marks all data as stale, so that pages opened next read it again. For a change after which the page is left,
 * because its resources may be gone.
 */
export function useRefreshLater(): () => Promise<void> {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries({ refetchType: "none" }), [queries]);
}
