import { DomainError, type Id } from "@routeplane/domain";
import type { SliceStore } from "./ports.ts";

/** Number of items in a row that find a service or database unavailable, after which the others are left out. */
const MAX_OUTAGES_IN_A_ROW = 5;

/**
 * Calls `work` for one item after the other. A fault of one item does not hold up the others. That includes UNAVAILABLE, which is also
 * the answer for a single namespace with too much to do; several in a row are an outage, and end the work.
 *
 * @throws the first fault, after the other items
 */
export async function eachDespiteFaults<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const faults: unknown[] = [];
  let outages = 0;
  for await (const item of items) {
    try {
      await work(item);
      outages = 0;
    } catch (error) {
      faults.push(error);
      outages = isOutage(error) ? outages + 1 : 0;
      if (outages === MAX_OUTAGES_IN_A_ROW) break;
    }
  }
  if (faults.length > 0) throw faults[0];
}

/**
 * Calls `work` for one namespace of a session after the other, as `eachDespiteFaults` does: what is set aside in the others is money of other
 * tenants.
 */
export function inEachNamespace(
  slices: Pick<SliceStore, "namespacesOf">,
  sessionId: Id<"gws">,
  work: (namespaceId: Id<"ns">) => Promise<unknown>,
): Promise<void> {
  return eachDespiteFaults(namespacesOf(slices, sessionId), work);
}

/** Namespaces of a session in ascending order, read in pages. */
async function* namespacesOf(slices: Pick<SliceStore, "namespacesOf">, sessionId: Id<"gws">): AsyncGenerator<Id<"ns">> {
  for (let after: Id<"ns"> | undefined; ;) {
    const namespaceIds = await slices.namespacesOf(sessionId, after);
    yield* namespaceIds;
    after = namespaceIds.at(-1);
    if (after === undefined) return;
  }
}

/** True for the error of a service or database that is unavailable. */
export function isOutage(error: unknown): boolean {
  return error instanceof DomainError && error.code === "unavailable";
}
