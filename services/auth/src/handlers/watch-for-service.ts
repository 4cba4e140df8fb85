import { type Clock, DomainError } from "@routeplane/domain";
import type { ChangeFeed, ServicePrincipal, VerifyToken } from "@routeplane/rpc";
import { latestOf } from "./latest-of.ts";

/** Maximum number of open WatchChanges calls of one service credential at this process. Each replica of its service has one. */
const MAX_WATCHES = 100;

/**
 * Minimum interval of the messages to a credential that is bound to namespaces. Its receiver verifies every token again after each, so that
 * without it many changes in one namespace would refuse the calls in all others. Added to the time until a revocation is known, under load.
 */
const MISSED_INTERVAL_MS = 20;

export interface WatchForServiceOptions {
  readonly verifyToken: VerifyToken;
  readonly changes: Pick<ChangeFeed, "watch">;
  readonly clock: Clock;
}

/** Message of WatchChanges. */
interface WatchedChange {
  readonly sequence: bigint;
  readonly subjectId: string;
}

/**
 * Streams changes to a service credential. The stream ends when the credential expires, changes or may have changed; the caller calls
 * again, and is verified again. To a credential that is bound to namespaces, each change is sent as a number without a subject, because ids
 * of other namespaces must not be revealed. The receiver treats it as a change that it missed. Of changes that follow each other within
 * `MISSED_INTERVAL_MS`, only the last number is sent.
 *
 * @throws DomainError UNAUTHENTICATED if the credential is no longer valid, RESOURCE_EXHAUSTED beyond `MAX_WATCHES`
 */
export type WatchForService = (
  caller: ServicePrincipal,
  token: string,
  signal: AbortSignal,
) => AsyncGenerator<WatchedChange, void>;

export function createWatchForService({ verifyToken, changes, clock }: WatchForServiceOptions): WatchForService {
  const open = new Map<string, number>();

  async function* watch(caller: ServicePrincipal, token: string, signal: AbortSignal) {
    let last: bigint | undefined;
    for await (const { sequence, subjectId } of changes.watch(signal)) {
      const next = last === undefined ? undefined : last + 1n;
      const expected = subjectId === undefined ? (last ?? sequence) : next;
      if (sequence !== expected || subjectId === caller.serviceCredentialId) return;
      if (caller.expiresAt !== undefined && caller.expiresAt.getTime() <= clock()) return;
      // A change of the credential before this watch began is in no message.
      if (last === undefined) await verifyToken(token);
      last = sequence;
      yield { sequence, subjectId: caller.namespaceIds === undefined ? (subjectId ?? "") : "" };
    }
  }

  return async function* watchForService(caller, token, signal) {
    const id = caller.serviceCredentialId;
    const count = open.get(id) ?? 0;
    if (count >= MAX_WATCHES) throw tooManyWatches();
    open.set(id, count + 1);
    try {
      const messages = watch(caller, token, signal);
      yield* caller.namespaceIds === undefined ? messages : latestOf(messages, MISSED_INTERVAL_MS);
    } finally {
      const left = (open.get(id) ?? 1) - 1;
      if (left === 0) open.delete(id);
      else open.set(id, left);
    }
  };
}

function tooManyWatches(): DomainError {
  const message = `a service credential has at most ${MAX_WATCHES} open calls of WatchChanges at a process: share one in each process of yours`;
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata: { limit: `${MAX_WATCHES}` } });
}
