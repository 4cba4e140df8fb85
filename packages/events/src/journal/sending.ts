import { open, readFile } from "node:fs/promises";
import { decodeSegment } from "./format.ts";
import { codeOf } from "./lock.ts";
import type { Range } from "./recovery.ts";
import type { PlacedEvent, Segment } from "./segment.ts";

/** Events that are sent as one message, under an id that a later process finds again. */
export interface Parcel {
  readonly id: string;
  readonly place: number;
  readonly last: number;
  readonly payloads: readonly Uint8Array[];
  readonly segment: Segment;
}

/** What earlier processes did with the events that they left, by the place that a message began at. */
export interface SentBefore {
  readonly sent: ReadonlyMap<number, Range>;
  readonly acked: ReadonlyMap<number, Range>;
}

/** Events of a segment that are only on the disk, without those that were acknowledged. @throws Error of the file system */
export async function loadWaiting({ path }: Segment, { acked }: SentBefore): Promise<PlacedEvent[]> {
  const { records } = decodeSegment(await readFile(path));
  let done = 0;
  return records.flatMap((record) => {
    if (record.kind !== "event") return [];
    done = Math.max(done, acked.get(record.place)?.last ?? 0);
    return record.place <= done ? [] : [{ place: record.place, payload: record.payload }];
  });
}

/** How many of the first events go into the next message: as many as did, if they were one before. */
export function countToSend(
  waiting: readonly PlacedEvent[],
  { sent }: SentBefore,
  maxEvents: number,
  maxBytes: number,
): number {
  const again = sent.get(waiting[0]?.place ?? 0)?.last;
  let bytes = 0;
  const end = waiting.findIndex(({ place, payload }, index) => {
    if (again !== undefined) return place > again;
    bytes += payload.length;
    return index > 0 && (index === maxEvents || bytes > maxBytes || sent.has(place));
  });
  return end === -1 ? waiting.length : end;
}

/** @param flags with which a folder (`r`) or a file (`r+`) is opened. @throws Error of the file system */
export async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  try {
    const file = await open(path, flags);
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // A segment that is gone was finished.
    if (codeOf(error) !== "ENOENT") throw error;
  }
}
