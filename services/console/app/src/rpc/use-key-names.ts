import { useQuery } from "@connectrpc/connect-query";
import { type Key, KeyService } from "@routeplane/contracts/auth";
import { byId } from "./by-id.ts";
import { holdsScope, useSession } from "../session/use-session.ts";

/** Maximum number of keys whose names are read: one page. Further keys are shown by id. */
export const MAX_KEY_NAMES = 1_000;

/** Keys of the namespace by id, read once for all parts of the app; empty without the scope `keys:read`, and for an operator. */
export function useKeys(): ReadonlyMap<string, Key> {
  const session = useSession();
  const enabled = session.kind === "namespace" && holdsScope(session, "keys:read");
  const { data } = useQuery(KeyService.method.listKeys, { pageSize: MAX_KEY_NAMES }, { enabled, staleTime: 60_000 });
  return byId(data?.keys);
}
