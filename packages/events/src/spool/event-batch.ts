import { readFile } from "node:fs/promises";
import type { Logger } from "@routeplane/runtime";
import { decodeSegment } from "./format.ts";
import { codeOf } from "./lock.ts";
import type { OffsetRange, RecoveredSpool } from "./recovery.ts";
import type { Segment, SpooledEvent } from "./segment.ts";

/** Events that are sent together. A later process that sends them again uses the same id. */
export interface EventBatch extends OffsetRange {
  readonly id: string;
  readonly events: readonly SpooledEvent[];
  readonly segment: Segment;
}

/**
 * Reads the events of a segment that are not acknowledged. A file that is gone yields none.
 *
 * @returns undefined, after logging it, if the file cannot be read now, e.g. because too many files are open: its events are still in it
 */
export async function loadUnsent(
  { path }: Segment,
  { acknowledged }: Pick<RecoveredSpool, "acknowledged">,
  log: Logger,
): Promise<SpooledEvent[] | undefined> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    const isGone = codeOf(error) === "ENOENT";
    log.error({ err: error, path }, `reading a spool segment failed${isGone ? "" : "; retrying"}`);
    return isGone ? [] : undefined;
  }
  let lastAcknowledged = 0;
  return decodeSegment(content).records.flatMap((record) => {
    if (record.kind !== "event") return [];
    const { offset, payload } = record;
    lastAcknowledged = Math.max(lastAcknowledged, acknowledged.get(offset)?.last ?? 0);
    return offset <= lastAcknowledged ? [] : [{ offset, payload }];
  });
}

/**
 * Counts the unsent events that make the next batch: those that were one batch in an earlier run or, from the first event
 * that was in none, up to `maxEvents` and `maxBytes`.
 */
export function countOfNextBatch(
  unsent: readonly SpooledEvent[],
  { sent }: Pick<RecoveredSpool, "sent">,
  maxEvents: number,
  maxBytes: number,
): number {
  const lastSentBefore = sent.get(unsent[0]?.offset ?? 0)?.last;
  let bytes = 0;
  const end = unsent.findIndex(({ offset, payload }, index) => {
    if (lastSentBefore !== undefined) return offset > lastSentBefore;
    bytes += payload.length;
    return index > 0 && (index === maxEvents || bytes > maxBytes || sent.has(offset));
  });
  return end === -1 ? unsent.length : end;
}
