import { readdirSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@routeplane/runtime";
import { decodeSegment, HEADER_BYTES, offsetOf, type SegmentContent } from "./format.ts";
import { Segment } from "./segment.ts";

/** Settlement that another service has yet to acknowledge, in the encoding of the process that wrote it. */
export interface PendingSettlement {
  readonly offset: number;
  readonly payload: Uint8Array;
}

/** Offsets of the events of one batch, both ends included. */
export interface OffsetRange {
  readonly first: number;
  readonly last: number;
}

/** Content of a spool that earlier processes left. */
export interface RecoveredSpool {
  readonly segments: Segment[];
  readonly pendingSettlements: readonly (PendingSettlement & { readonly segment: Segment })[];
  /** Batches that were sent, and may or may not have arrived, keyed by their first offset. */
  readonly sent: ReadonlyMap<number, OffsetRange>;
  /** Batches that were acknowledged, keyed by their first offset. */
  readonly acknowledged: ReadonlyMap<number, OffsetRange>;
  /** Number of event records, acknowledged or not. */
  readonly events: number;
  readonly lastOffset: number;
  /** True if a file or record could not be read. An unfinished write at the end of a file is no damage. */
  readonly isDamaged: boolean;
  /** Number of the newest file that is or was a segment. */
  readonly lastSegmentNumber: number;
}

/** Work that earlier processes left in the folder of a spool. */
export class PreviousRun {
  /** Settlements that were not acknowledged. */
  readonly pendingSettlements: readonly PendingSettlement[];
  /** True if a file or record could not be read. */
  readonly isDamaged: boolean;
  readonly #segments: readonly Segment[];

  constructor({ pendingSettlements, isDamaged, segments }: RecoveredSpool) {
    this.pendingSettlements = pendingSettlements;
    this.isDamaged = isDamaged;
    this.#segments = [...segments];
  }

  /** True until all its events are acknowledged. */
  get hasEvents(): boolean {
    return this.#segments.some(({ unsent, inFlight }) => unsent?.length !== 0 || inFlight > 0);
  }
}

const SEGMENT_NAME = /^(\d{16})\.journal/;

/** Returns the file name of a segment. Names sort in the order in which segments were written. */
export function segmentName(number: number): string {
  return `${String(number).padStart(16, "0")}.journal`;
}

/**
 * Reads every segment and truncates a torn write at its end. Damage is never fatal: a damaged record is skipped, a file that
 * is no segment is renamed to `.damaged`.
 */
export function recover(folder: string, log: Logger): RecoveredSpool {
  const segments: Segment[] = [];
  const pending = new Map<number, PendingSettlement & { readonly segment: Segment }>();
  const completed: number[] = [];
  const sent = new Map<number, OffsetRange>();
  const acknowledged = new Map<number, OffsetRange>();
  let events = 0;
  let lastOffset = 0;
  let lastSegmentNumber = 0;
  let isDamaged = false;
  for (const name of readdirSync(folder).toSorted()) {
    const number = Number(SEGMENT_NAME.exec(name)?.[1] ?? 0);
    lastSegmentNumber = Math.max(lastSegmentNumber, number);
    if (name !== segmentName(number)) continue;
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const content = decodeSegment(bytes);
    isDamaged ||= content.damagedBytes > 0 || (content.session === undefined && bytes.length >= HEADER_BYTES);
    if (!repair(path, bytes.length, content, log) || content.session === undefined) continue;
    const segment = Segment.existing(path, content.session, content.end);
    segments.push(segment);
    for (const record of content.records) {
      lastOffset = Math.max(lastOffset, offsetOf(record));
      if (record.kind === "event") events++;
      else if (record.kind === "pendingSettlement") pending.set(record.offset, { ...copyOf(record), segment });
      else if (record.kind === "completed") completed.push(record.offset);
      else (record.kind === "sent" ? sent : acknowledged).set(record.first, record);
    }
  }
  for (const offset of completed) pending.delete(offset);
  const pendingSettlements = [...pending.values()];
  return { segments, pendingSettlements, sent, acknowledged, events, lastOffset, isDamaged, lastSegmentNumber };
}

/** Repairs the file, so that it ends with a whole record. @returns false if it is no segment and was set aside */
function repair(path: string, bytes: number, { session, end, damagedBytes }: SegmentContent, log: Logger): boolean {
  if (session === undefined) {
    // A kill right after its creation leaves it empty, or with a part of its header.
    if (bytes < HEADER_BYTES) rmSync(path);
    else renameSync(path, `${path}.damaged`);
    log.error({ path, bytes }, "unknown file in the spool set aside");
    return false;
  }
  if (damagedBytes > 0)
    log.error({ path, damagedBytes }, "damaged records of a spool segment skipped: their events are lost");
  if (end < bytes) {
    truncateSync(path, end);
    log.warn({ path, bytes: bytes - end }, "unfinished record at the end of a spool segment removed");
  }
  return true;
}

/** Copies the payload, which is a view that would keep the whole segment in memory. */
function copyOf({ offset, payload }: PendingSettlement): PendingSettlement {
  return { offset, payload: Uint8Array.from(payload) };
}
