import type { LoggedRequest } from "./request.ts";

/**
 * Keeps one observation of each request, the one that no other supersedes, and sorts them by key. The store applies the same rule between
 * batches as this function within a batch. So any order and repetition of a request's events gives the same row.
 */
export function deduplicate(observations: readonly LoggedRequest[]): readonly LoggedRequest[] {
  const byKey = new Map<string, LoggedRequest>();
  for (const observation of observations) {
    const key = keyOf(observation);
    const known = byKey.get(key);
    if (known === undefined || supersedes(observation, known)) byKey.set(key, observation);
  }
  // All writers use the same order, so that two writers that lock the same rows cannot deadlock.
  return [...byKey].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, request]) => request);
}

/**
 * Returns true if `observation` replaces `known`, another one of the same request, whichever arrived first. A settlement replaces an
 * admission, reported usage an estimate, and between equals the higher cost wins, then the later end, and so on through every field that is
 * counted.
 */
export function supersedes(observation: LoggedRequest, known: LoggedRequest): boolean {
  const [ranks, knownRanks] = [precedenceOf(observation), precedenceOf(known)];
  const index = ranks.findIndex((rank, position) => rank !== knownRanks[position]);
  const [rank, knownRank] = [ranks[index], knownRanks[index]];
  return rank !== undefined && knownRank !== undefined && rank > knownRank;
}

function precedenceOf(request: LoggedRequest): readonly (number | bigint | string)[] {
  const { costNanoUsd, completedAt, promptTokens, completionTokens, status } = request;
  return [rankOf(request), costNanoUsd, completedAt?.getTime() ?? 0, promptTokens, completionTokens, status];
}

function rankOf({ status, estimated }: LoggedRequest): number {
  if (status === "pending") return 0;
  if (status === "unknown") return 1;
  return estimated ? 2 : 3;
}

function keyOf({ namespaceId, id, createdAt }: LoggedRequest): string {
  return `${namespaceId} ${id} ${createdAt.getTime()}`;
}
