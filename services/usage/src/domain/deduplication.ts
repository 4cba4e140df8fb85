import type { LoggedRequest } from "./request.ts";

/**
 * What a set of observations amounts to, one per request, in order of key: of each request the one that no other supersedes.
 * The rule is the same here, within a batch, and in the store, between batches. So any order and any repetition of a request's
 * events gives the same bill.
 */
export function deduplicate(observations: readonly LoggedRequest[]): readonly LoggedRequest[] {
  const byKey = new Map<string, LoggedRequest>();
  for (const observation of observations) {
    const key = keyOf(observation);
    const known = byKey.get(key);
    if (known === undefined || supersedes(observation, known)) byKey.set(key, observation);
  }
  // One order for everyone: two writers that lock the same rows never wait for each other in a circle.
  return [...byKey].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, request]) => request);
}

/**
 * Whether one observation of a request takes the place of another, whichever came first: any settlement that of an admission,
 * what an upstream reported that of an estimate, and of two that say different things the dearer (then the later, and so on,
 * until they differ in nothing that is counted).
 */
export function supersedes(one: LoggedRequest, other: LoggedRequest): boolean {
  const [left, right] = [precedenceOf(one), precedenceOf(other)];
  const at = left.findIndex((value, index) => value !== right[index]);
  const [mine, others] = [left[at], right[at]];
  return mine !== undefined && others !== undefined && mine > others;
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
