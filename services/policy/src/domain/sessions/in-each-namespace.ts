import { DomainError, type Id } from "@routeplane/domain";
import type { SliceStore } from "./ports.ts";

/**
 * Calls `work` for one namespace of a session after the other. A namespace in which it fails does not hold up the others, because what is set
 * aside there is money of other tenants.
 *
 * @throws the first fault, after the other namespaces; that of an outage at once
 */
export async function inEachNamespace(
  slices: Pick<SliceStore, "namespacesOf">,
  sessionId: Id<"gws">,
  work: (namespaceId: Id<"ns">) => Promise<unknown>,
): Promise<void> {
  const faults: unknown[] = [];
  for (let after: Id<"ns"> | undefined; ;) {
    const namespaceIds = await slices.namespacesOf(sessionId, after);
    for (const namespaceId of namespaceIds) {
      try {
        await work(namespaceId);
      } catch (error) {
        if (isOutage(error)) throw error;
        faults.push(error);
      }
    }
    after = namespaceIds.at(-1);
    if (after === undefined) break;
  }
  if (faults.length > 0) throw faults[0];
}

/** True for the error of a service or database that is unavailable. */
export function isOutage(error: unknown): boolean {
  return error instanceof DomainError && error.code === "unavailable";
}
