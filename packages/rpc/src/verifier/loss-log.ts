import type { Logger } from "@routeplane/runtime";
import type { ChangeWatch } from "../changes/change-watch.ts";
import { FEED_TIMEOUT_MS } from "../changes/sequence-tracker.ts";

/**
 * Writes one warning when nothing is heard of changes any more, and one line when they are heard again.
 *
 * @returns to be called every so often
 */
export function logLoss(log: Logger, watch: Pick<ChangeWatch, "isLive">, monotonic: () => number): () => void {
  const startedAt = monotonic();
  let lost = false;
  return () => {
    const isLive = watch.isLive();
    if (lost && isLive) {
      lost = false;
      log.info("changes of keys are heard of again");
    } else if (!lost && !isLive && monotonic() - startedAt > FEED_TIMEOUT_MS) {
      lost = true;
      log.warn("nothing is heard of changes of keys: every token is verified by call");
    }
  };
}
