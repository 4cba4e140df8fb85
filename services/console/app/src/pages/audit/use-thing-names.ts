import { useQuery } from "@connectrpc/connect-query";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { NamespaceService } from "@routeplane/contracts/auth";
import { useCallback, useMemo } from "react";
import { useKeys } from "../../rpc/use-key-names.ts";
import { usePoliciesById } from "../../rpc/use-policies.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";

/** Maximum number of namespaces whose names are read: one page. */
const MAX_NAMESPACES = 1_000;

/**
 * Returns a function from the id of a key, policy or namespace to its current name; for a deleted one, to the name in its entry. The
 * function returns undefined if the name is not known.
 */
export function useThingNames(entries: readonly AuditEntry[]): (id: string) => string | undefined {
  const session = useSession();
  const { kind, namespaceId, namespaceName } = session;
  const keys = useKeys();
  const policies = usePoliciesById();
  const enabled = kind === "operator" && holdsScope(session, "namespaces:read");
  const input = { pageSize: MAX_NAMESPACES, showDeleted: true };
  const { data } = useQuery(NamespaceService.method.listNamespaces, input, { enabled, staleTime: 60_000 });
  const others = useMemo(() => {
    const names = new Map(entries.flatMap((entry) => namesIn(entry)));
    for (const { id, name } of data?.namespaces ?? []) names.set(id, name);
    if (namespaceId !== "") names.set(namespaceId, namespaceName);
    return names;
  }, [entries, data, namespaceId, namespaceName]);
  return useCallback((id) => keys.get(id)?.name ?? policies.get(id)?.name ?? others.get(id), [keys, policies, others]);
}

function namesIn({ targetId, before, after }: AuditEntry): readonly (readonly [string, string])[] {
  const name = after?.["name"] ?? before?.["name"];
  return typeof name === "string" ? [[targetId, name]] : [];
}
