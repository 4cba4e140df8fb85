import { readdirSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@routeplane/runtime";
import { decodeSegment, HEADER_BYTES, type JournalRecord, type SegmentContent } from "./format.ts";
import { Segment } from "./segment.ts";

/** Something that this process owes another service, in words of its own. */
export interface Debt {
  readonly place: number;
  readonly payload: Uint8Array;
}

/** Events that were one message, both ends included. */
export interface Range {
  readonly place: number;
  readonly last: number;
}

/** What earlier processes left in the folder. */
export interface Recovered {
  readonly segments: Segment[];
  /** Not paid. */
  readonly debts: readonly Debt[];
  /** By the place that they begin at. */
  readonly sent: ReadonlyMap<number, Range>;
  readonly acked: ReadonlyMap<number, Range>;
  /** Events that were recorded; some of them may be acknowledged. */
  readonly events: number;
  readonly lastPlace: number;
  /** Of the newest file that is or was a segment. */
  readonly lastNumber: number;
}

const SEGMENT_NAME = /^(\d{16})\.journal/;

/** In the order of their numbers, which is that of their content. */
export function segmentName(number: number): string {
  return `${String(number).padStart(16, "0")}.journal`;
}

/** Reads every segment, and cuts off what a torn write left at its end. Damage is set aside or passed over, never fatal. */
export function recover(folder: string, log: Logger): Recovered {
  const segments: Segment[] = [];
  const debts = new Map<number, { readonly debt: Debt; readonly segment: Segment }>();
  const marks: Extract<JournalRecord, { kind: "paid" | "sent" | "acked" }>[] = [];
  let events = 0;
  let lastPlace = 0;
  let lastNumber = 0;
  for (const name of readdirSync(folder).toSorted()) {
    const number = Number(SEGMENT_NAME.exec(name)?.[1] ?? 0);
    lastNumber = Math.max(lastNumber, number);
    if (name !== segmentName(number)) continue;
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const content = decodeSegment(bytes);
    if (!keep(path, bytes.length, content, log) || content.session === undefined) continue;
    const segment = Segment.found(path, content.session, content.end);
    segments.push(segment);
    for (const record of content.records) {
      lastPlace = Math.max(lastPlace, record.place);
      if (record.kind === "event") events++;
      else if (record.kind === "debt") debts.set(record.place, { debt: copyOf(record), segment });
      else marks.push(record);
    }
  }
  for (const { kind, place } of marks) if (kind === "paid") debts.delete(place);
  for (const { debt, segment } of debts.values()) segment.owed.add(debt.place);
  const ranges = (kind: "sent" | "acked"): ReadonlyMap<number, Range> =>
    new Map(marks.flatMap((mark) => (mark.kind === kind ? [[mark.place, mark] as const] : [])));
  const open = [...debts.values()].map(({ debt }) => debt);
  return { segments, debts: open, sent: ranges("sent"), acked: ranges("acked"), events, lastPlace, lastNumber };
}

/** Whether the file is a segment; it ends with a whole record afterwards. */
function keep(path: string, bytes: number, { session, end, damagedBytes }: SegmentContent, log: Logger): boolean {
  if (session === undefined) {
    // A kill right after its creation leaves it empty, or with a piece of its header.
    if (bytes < HEADER_BYTES) rmSync(path);
    else renameSync(path, `${path}.damaged`);
    log.error({ path, bytes }, "a file in the spool is no segment of its journal: set aside");
    return false;
  }
  if (damagedBytes > 0)
    log.error({ path, damagedBytes }, "a segment of the journal is damaged: what it held there is lost");
  if (end < bytes) {
    truncateSync(path, end);
    log.warn({ path, bytes: bytes - end }, "cut off what a write that was not finished left in the journal");
  }
  return true;
}

/** The payload is a view of the whole segment, which need not stay in memory. */
function copyOf({ place, payload }: Debt): Debt {
  return { place, payload: Uint8Array.from(payload) };
}
