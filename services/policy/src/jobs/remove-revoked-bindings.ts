import type { Verifier } from "@routeplane/rpc";
import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";

const EVERY_MS = 1_000;
const RETRY_MS = 5_000;
/** Time after which the auth service is asked although it announced no change. */
const MAX_QUIET_MS = 30_000;

/**
 * Removes what is bound to revoked keys, soon after each revocation. Any number of replicas can do so at once.
 *
 * @param remove resolves to the number of revocations that are not done
 * @param feed change feed of the auth service
 */
export function removeRevokedBindings(remove: () => Promise<number>, feed: Verifier["feed"], log: Logger): Component {
  const removeIfChanged = unlessUnchanged(remove, feed, () => performance.now());
  return runPeriodically({
    name: "remove what is bound to revoked keys",
    everyMs: EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      await removeIfChanged();
      return false;
    },
  });
}

/**
 * Returns a function that calls `remove` if there may be something to do: a change was announced since, or may have been missed, or a
 * revocation is left. A call each second costs policy and auth 3 ms of CPU a second together.
 */
export function unlessUnchanged(
  remove: () => Promise<number>,
  feed: Verifier["feed"],
  monotonic: () => number,
): () => Promise<void> {
  /** Last change before the last call that left nothing, and the time of that call. */
  let done: { readonly sequence: bigint; readonly at: number } | undefined;
  return async () => {
    const [sequence, at] = [feed.lastSequence(), monotonic()];
    if (done?.sequence === sequence && feed.isLive() && at - done.at < MAX_QUIET_MS) return;
    done = undefined;
    if ((await remove()) === 0 && feed.isLive()) done = { sequence, at };
  };
}
