import { merge } from "./merging.ts";
import { type RequestLog, UnstorableError } from "./ports.ts";
import type { LoggedRequest } from "./request.ts";

/**
 * Records what a batch of events says. In one transaction, unless the store refuses a value in it: then each half by itself,
 * down to the one that is at fault, which `onUnstorable` is told of, so that one bad event does not hold up all others.
 * Anything else that goes wrong (an outage, a missing grant or table) is thrown: the whole batch must come again.
 */
export async function recordAll(
  log: Pick<RequestLog, "record">,
  observations: readonly LoggedRequest[],
  onUnstorable: (request: LoggedRequest, cause: UnstorableError) => void,
): Promise<void> {
  const requests = merge(observations);
  const [first] = requests;
  if (first === undefined) return;
  try {
    await log.record(requests);
  } catch (error) {
    if (!(error instanceof UnstorableError)) throw error;
    if (requests.length === 1) return onUnstorable(first, error);
    const middle = Math.ceil(requests.length / 2);
    await recordAll(log, requests.slice(0, middle), onUnstorable);
    await recordAll(log, requests.slice(middle), onUnstorable);
  }
}
