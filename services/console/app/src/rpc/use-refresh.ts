import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";

/** Ways to read anew after a change: of what the page shows, too, or of the pages that are opened next. */
export function useRefresh(): { readonly refresh: () => Promise<void>; readonly refreshLater: () => Promise<void> } {
  const queries = useQueryClient();
  return useMemo(
    () => ({
      refresh: () => queries.invalidateQueries(),
      /** For a change that leaves the page: what it shows may exist no longer. */
      refreshLater: () => queries.invalidateQueries({ refetchType: "none" }),
    }),
    [queries],
  );
}
