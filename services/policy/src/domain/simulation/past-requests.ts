import type { Id } from "@routeplane/domain";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { KeyDirectory, RequestHistory } from "../ports.ts";
import type { PastRequest } from "./simulation.ts";

/** Number of requests that bounds time and memory of one simulation. */
export const MAX_PAST_REQUESTS = 100_000;

export interface PastRequests {
  readonly requests: readonly PastRequest[];
  /** Moment from which the requests are complete: later than that of the query if they were truncated. */
  readonly from: Date;
  readonly truncated: boolean;
}

export interface PastRequestsQuery {
  readonly namespaceId: Id<"ns">;
  readonly principal: BoundPrincipal;
  readonly from: Date;
  readonly to: Date;
}

/**
 * Reads the newest requests of a principal: all of a namespace; of a key its own and those of the keys below it.
 *
 * @param signal stops the reading after the present page, once it is aborted
 * @throws DomainError UNAVAILABLE; the reason of the signal
 */
export async function readPastRequests(
  history: RequestHistory,
  keys: KeyDirectory,
  { namespaceId, principal, from, to }: PastRequestsQuery,
  signal: AbortSignal,
): Promise<PastRequests> {
  const filterFor = createKeyFilter(keys, namespaceId, principal);
  const requests: PastRequest[] = [];
  let remaining = MAX_PAST_REQUESTS;
  let oldestMs = to.getTime();
  signal.throwIfAborted();
  for await (const page of history.pages(namespaceId, from, to)) {
    signal.throwIfAborted();
    const considered = page.slice(0, remaining);
    const isOfPrincipal = await filterFor(considered.map(({ keyId }) => keyId));
    for (const request of considered) if (isOfPrincipal(request.keyId)) requests.push(request);
    oldestMs = considered.at(-1)?.startedMs ?? oldestMs;
    if (page.length > remaining) return { requests, from: new Date(oldestMs), truncated: true };
    remaining -= page.length;
  }
  return { requests, from, truncated: false };
}

/** Number of keys that are looked up at the same time. */
const PARALLEL_LOOKUPS = 16;

/** Filter for the keys that a policy bound to the principal applies to. Each key is looked up once. */
function createKeyFilter(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal) {
  const isBelow = new Map<Id<"key">, boolean>();
  return async (keyIds: readonly Id<"key">[]): Promise<(keyId: Id<"key">) => boolean> => {
    if (principal.type === "namespace") return () => true;
    const unknown = [...new Set(keyIds)].filter((id) => !isBelow.has(id));
    for (let start = 0; start < unknown.length; start += PARALLEL_LOOKUPS) {
      await Promise.all(
        unknown.slice(start, start + PARALLEL_LOOKUPS).map(async (id) => {
          const key = await keys.find(namespaceId, id);
          isBelow.set(id, key?.lineage.includes(principal.id) ?? false);
        }),
      );
    }
    return (id) => isBelow.get(id) ?? false;
  };
}
