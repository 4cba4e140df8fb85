import { deduplicate } from "./deduplication.ts";
import { type RequestLog, UnstorableError } from "./ports.ts";
import type { LoggedRequest } from "./request.ts";
import type { UnloggedDenials } from "./unlogged-denials.ts";

/** Records the observations of a batch of events, de-duplicated. */
export async function recordRequests(
  log: Pick<RequestLog, "record">,
  observations: readonly LoggedRequest[],
  onUnstorable: (request: LoggedRequest, cause: UnstorableError) => void,
): Promise<void> {
  await recordHalves((requests) => log.record(requests), deduplicate(observations), onUnstorable);
}

/** Records the counts, in a batch of events, of denied requests that have no row. */
export async function recordUnloggedDenials(
  log: Pick<RequestLog, "recordDenials">,
  denials: readonly UnloggedDenials[],
  onUnstorable: (denials: UnloggedDenials, cause: UnstorableError) => void,
): Promise<void> {
  await recordHalves((part) => log.recordDenials(part), denials, onUnstorable);
}

/**
 * Records items in one transaction. If the store refuses a value in it, each half is recorded by itself, down to the faulty item, which is
 * passed to `onUnstorable`: one bad event does not block the others. Any other error (an outage, a missing grant or table) is thrown,
 * because the whole batch must be delivered again.
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
