import type { Namespace } from "@routeplane/contracts/auth";

/** State of a namespace. Keys are refused unless it is active. */
export type NamespaceState = "active" | "suspended" | "deleted";

/** Returns the state of a namespace. A namespace that is both suspended and deleted counts as deleted. */
export function namespaceStateOf({
  suspendedAt,
  deletedAt,
}: Pick<Namespace, "suspendedAt" | "deletedAt">): NamespaceState {
  if (deletedAt !== undefined) return "deleted";
  return suspendedAt === undefined ? "active" : "suspended";
}
