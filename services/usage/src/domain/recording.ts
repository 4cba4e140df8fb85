import { deduplicate } from "./deduplication.ts";
import { type RequestLog, UnstorableError } from "./ports.ts";
import type { LoggedRequest } from "./request.ts";
import type { UnloggedDenials } from "./unlogged-denials.ts";

/** Records what a batch of events says of requests. */
export async function recordRequests(
  log: Pick<RequestLog, "record">,
  observations: readonly LoggedRequest[],
  onUnstorable: (request: LoggedRequest, cause: UnstorableError) => void,
): Promise<void> {
  await recordHalves((requests) => log.record(requests), deduplicate(observations), onUnstorable);
}

/** Records what a batch of events says of denied requests that have no row. */
export async function recordUnloggedDenials(
  log: Pick<RequestLog, "recordDenials">,
  denials: readonly UnloggedDenials[],
  onUnstorable: (denials: UnloggedDenials, cause: UnstorableError) => void,
): Promise<void> {
  await recordHalves((part) => log.recordDenials(part), denials, onUnstorable);
}

/**
 * In one transaction, unless the store refuses a value in it: then each half by itself, down to the one that is at fault, which
 * `onUnstorable` is told of, so that one bad event does not hold up all others. Anything else that goes wrong (an outage, a
 * missing grant or table) is thrown: the whole batch must come again.
 */
async function recordHalves<Item>(
  record: (items: readonly Item[]) => Promise<void>,
  items: readonly Item[],
  onUnstorable: (item: Item, cause: UnstorableError) => void,
): Promise<void> {
  const [first] = items;
  if (first === undefined) return;
  try {
    await record(items);
  } catch (error) {
    if (!(error instanceof UnstorableError)) throw error;
    if (items.length === 1) return onUnstorable(first, error);
    const middle = Math.ceil(items.length / 2);
    await recordHalves(record, items.slice(0, middle), onUnstorable);
    await recordHalves(record, items.slice(middle), onUnstorable);
  }
}
