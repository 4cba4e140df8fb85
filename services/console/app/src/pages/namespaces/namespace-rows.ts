import type { Namespace } from "@routeplane/contracts/auth";
import type { NamespaceUsage } from "@routeplane/contracts/usage";
import type { Totals } from "../../format/measures.ts";

/** Namespace with its usage in a range. */
export interface NamespaceRow {
  readonly namespace: Namespace;
  readonly totals: Totals;
}

const NOTHING: Totals = {
  requestCount: 0n,
  promptTokens: 0n,
  completionTokens: 0n,
  spendMicroUsd: 0n,
  deniedCount: 0n,
};

/**
 * Rows of the namespaces whose name or id contains a text, in the order of the list.
 *
 * @param usages usage by namespace; usage of namespaces that are not in the list is ignored
 */
export function namespaceRows(
  namespaces: readonly Namespace[],
  usages: readonly NamespaceUsage[],
  text: string,
): readonly NamespaceRow[] {
  const totals = new Map(usages.map(({ namespaceId, usage }) => [namespaceId, usage]));
  const searched = text.trim().toLowerCase();
  return namespaces
    .filter(({ id, name }) => id.includes(searched) || name.includes(searched))
    .map((namespace) => ({ namespace, totals: totals.get(namespace.id) ?? NOTHING }));
}
