import type { LoggedRequest } from "./request.ts";

/**
 * What a set of observations amounts to, one per request, in order of key. The rule, here within a batch and in the store
 * between batches: a request goes from pending to settled once, and the first settlement stays. So any order and any
 * repetition of a request's two events gives the same row.
 */
export function merge(observations: readonly LoggedRequest[]): readonly LoggedRequest[] {
  const byKey = new Map<string, LoggedRequest>();
  for (const observation of observations) {
    const key = keyOf(observation);
    const known = byKey.get(key);
    const settles = known?.status === "pending" && observation.status !== "pending";
    if (known === undefined || settles) byKey.set(key, observation);
  }
  // One order for everyone: two writers that lock the same rows never wait for each other in a circle.
  return [...byKey].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, request]) => request);
}

function keyOf({ namespaceId, id, createdAt }: LoggedRequest): string {
  return `${namespaceId} ${id} ${createdAt.toISOString()}`;
}
