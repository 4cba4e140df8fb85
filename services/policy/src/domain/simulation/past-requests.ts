import type { Id } from "@routeplane/domain";
import type { BoundPrincipal } from "../policies/policy.ts";
import type { KeyDirectory, RequestHistory } from "../ports.ts";
import type { PastRequest } from "./simulation.ts";

/** Requests at most: what a simulation may take of time and memory. */
export const MAX_PAST_REQUESTS = 100_000;

export interface PastRequests {
  readonly requests: readonly PastRequest[];
  /** Since when they are complete: later than asked for if there were too many. */
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
 * The newest requests of a principal: of a namespace all, of a key its own and those of the keys below it.
 *
 * @param signal stops the reading after the page at hand, once it is aborted
 * @throws DomainError UNAVAILABLE; the reason of the signal
 */
export async function readPastRequests(
  history: RequestHistory,
  keys: KeyDirectory,
  { namespaceId, principal, from, to }: PastRequestsQuery,
  signal: AbortSignal,
): Promise<PastRequests> {
  const concerns = concernsOf(keys, namespaceId, principal);
  const requests: PastRequest[] = [];
  let room = MAX_PAST_REQUESTS;
  let oldestMs = to.getTime();
  signal.throwIfAborted();
  for await (const page of history.pages(namespaceId, from, to)) {
    signal.throwIfAborted();
    const kept = page.slice(0, room);
    const known = await concerns(kept.map(({ keyId }) => keyId));
    for (const request of kept) if (known(request.keyId)) requests.push(request);
    oldestMs = kept.at(-1)?.startedMs ?? oldestMs;
    if (page.length > room) return { requests, from: new Date(oldestMs), truncated: true };
    room -= page.length;
  }
  return { requests, from, truncated: false };
}

/** Says of keys whether a policy that is bound to the principal binds them. Each is asked for once. */
function concernsOf(keys: KeyDirectory, namespaceId: Id<"ns">, principal: BoundPrincipal) {
  const answers = new Map<Id<"key">, boolean>();
  return async (keyIds: readonly Id<"key">[]): Promise<(keyId: Id<"key">) => boolean> => {
    if (principal.type === "namespace") return () => true;
    const unknown = [...new Set(keyIds)].filter((id) => !answers.has(id));
    for (let at = 0; at < unknown.length; at += KEYS_AT_A_TIME) {
      await Promise.all(
        unknown.slice(at, at + KEYS_AT_A_TIME).map(async (id) => {
          const key = await keys.find(namespaceId, id);
          answers.set(id, key?.lineage.includes(principal.id) ?? false);
        }),
      );
    }
    return (id) => answers.get(id) ?? false;
  };
}

const KEYS_AT_A_TIME = 16;
