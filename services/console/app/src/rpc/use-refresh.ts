import { useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";

/** Returns the function that reads anew what the page shows, and what other pages have read, after a change. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries(), [queries]);
}
