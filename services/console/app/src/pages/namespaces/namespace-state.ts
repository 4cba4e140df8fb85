import type { Namespace } from "@routeplane/contracts/auth";

/** State of a namespace. Keys of all but an active one are refused. */
export type NamespaceState = "active" | "suspended" | "deleted";

/** State of a namespace. A deleted one stays suspended if it was. */
export function namespaceStateOf({
  suspendedAt,
  deletedAt,
}: Pick<Namespace, "suspendedAt" | "deletedAt">): NamespaceState {
  if (deletedAt !== undefined) return "deleted";
  return suspendedAt === undefined ? "active" : "suspended";
}
