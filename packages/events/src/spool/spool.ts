/**
 * The spool: the write-ahead log of one process, from which usage events and settlements are sent. Exactly-once metering
 * depends on it: a request goes upstream only after `append` has returned for its admission.
 *
 * Architecture. A folder of numbered segments (`format.ts`), locked by one process (`lock.ts`). Entries go to the newest
 * segment; events are sent from the oldest one. `recovery.ts` reads what earlier processes left, `event-batch.ts` chooses
 * what is sent together, `record-buffer.ts` holds what is written next, and `reserved-disk-space.ts` keeps bytes for a full disk.
 *
 * Steps of one event. `append` writes it with one `write` (1 to 2 µs, page cache: it survives a kill). `nextBatch` takes it and notes a
 * `sent` mark, so that a later process sends the same batch under the same id. The mark is written together with the next entry, which
 * saves a `write` (15 µs of CPU) for each batch. After a kill before that, the events after the last mark are exactly those that were
 * taken, and make the same batch again. `acknowledge` notes that NATS has stored it. `sync` makes everything written so far survive the
 * loss of power. A pending settlement is written by `append`, alone or in one piece with an event, and lasts until `complete`.
 *
 * Concurrency. One process, one event loop; `append`, `complete` and `acknowledge` are synchronous and never interleave.
 * `nextBatch` has one caller at a time. `sync` covers the entries that were written before it began.
 *
 * Failures. An entry is written whole or not at all; if it is not, `append` throws SpoolFull. A sixteenth of `maxBytes` and the reserved
 * disk space are kept for requests that are already running: entries of new requests are refused first. After a failed `sync` its segments
 * are sealed, because the kernel may have dropped pages. Marks that are lost only repeat work.
 * Segments are removed whole, the oldest first, so that a mark lives as long as the record that it is about. A settlement that is pending
 * for long, e.g. of a stream or a gateway session, would keep everything that is written after it. So once the spool is four times as large
 * as its pending settlements, those of the oldest segment are written again to the newest one, and synced there before the oldest is
 * removed.
 * Memory holds the events of the oldest unsent segment and of the one that is written, and the pending settlements.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@routeplane/runtime";
import { countOfNextBatch, type EventBatch, loadUnsent } from "./event-batch.ts";
import { MAX_PAYLOAD_BYTES } from "./format.ts";
import { codeOf, type FolderLock, lockFolder } from "./lock.ts";
import { PendingSettlements } from "./pending-settlements.ts";
import { PreviousRun, recover, type RecoveredSpool, segmentName } from "./recovery.ts";
import { RecordBuffer } from "./record-buffer.ts";
import { ReservedDiskSpace } from "./reserved-disk-space.ts";
import { Segment, type SpooledEvent, syncPath } from "./segment.ts";
import { asSpoolFull, SpoolFull } from "./spool-full.ts";

export interface SpoolOptions {
  /** Folder of this process alone; created if missing. */
  readonly folder: string;
  /** Upper bound of the segments' bytes on the disk. A sixteenth of it is kept for requests that are already running. */
  readonly maxBytes: number;
  readonly log: Logger;
  /** Size at which a segment is followed by the next one. 1 MiB by default, and never more than a 32nd of `maxBytes`. */
  readonly segmentBytes?: number;
}

/** Parts that are written in one piece: all of them or none. */
export interface SpoolEntry {
  /** Encoded usage event. */
  readonly event?: Uint8Array | undefined;
  /** Namespace that the event is of. */
  readonly namespaceId?: string | undefined;
  /** Encoded settlement that another service has yet to acknowledge. */
  readonly pendingSettlement?: Uint8Array | undefined;
  /** Offset of a pending settlement that this entry completes. */
  readonly completes?: number | undefined;
  /** True for the first entry of a request: it cannot use the space that is kept for running requests. */
  readonly isNewRequest?: boolean | undefined;
}

/** Offsets of the parts of an entry; 0 for a part that it does not have. */
export interface EntryOffsets {
  readonly eventOffset: number;
  readonly pendingSettlementOffset: number;
}

const SEGMENT_BYTES = 1024 ** 2;
const MIN_SEGMENTS = 32;
const KEPT_SHARE = 16;
const MAX_RESERVED_BYTES = 4 * 1024 ** 2;
/** Minimum number of segments, and minimum size of the spool as a multiple of its pending bytes, to move pending settlements. */
const MIN_SEGMENTS_TO_MOVE = 4;
const MIN_SHARE_TO_MOVE = 4;
/** Pause before a segment that could not be read is read again. */
const READ_AGAIN_MS = 1_000;

/** Write-ahead log of usage events and pending settlements; see the head of this file. */
export class Spool {
  /** Work that earlier processes left in this folder. */
  readonly previousRun: PreviousRun;
  readonly lock: FolderLock;
  readonly #options: SpoolOptions;
  readonly #recovered: RecoveredSpool;
  readonly #session = randomBytes(16).toString("hex");
  readonly #reservedSpace: ReservedDiskSpace;
  readonly #next = new RecordBuffer(() => this.#flushMarks());
  /** Segments in the order of their numbers: the oldest first. */
  readonly #segments: Segment[];
  /** Segments that were written to since the last sync. */
  readonly #unsynced = new Set<Segment>();
  readonly #pending = new PendingSettlements();
  /** Last sync that is under way. */
  #syncing: Promise<void> | undefined;
  #lastOffset: number;
  #lastSegmentNumber: number;
  #bytes: number;

  /**
   * Locks the folder and reads what earlier processes left in it.
   *
   * @throws SpoolInUse if another running process has the folder
   * @throws Error of the file system
   */
  static open(options: SpoolOptions): Spool {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    const lock = lockFolder(options.folder);
    try {
      return new Spool(options, recover(options.folder, options.log), lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  private constructor(options: SpoolOptions, recovered: RecoveredSpool, lock: FolderLock) {
    const { folder, maxBytes, log } = options;
    this.#options = options;
    this.#recovered = recovered;
    this.lock = lock;
    this.#segments = recovered.segments;
    this.previousRun = new PreviousRun(recovered);
    this.#lastOffset = recovered.lastOffset;
    this.#lastSegmentNumber = recovered.lastSegmentNumber;
    this.#bytes = recovered.segments.reduce((sum, { size }) => sum + size, 0);
    for (const { segment, ...settlement } of recovered.pendingSettlements) this.#pending.add(settlement, segment);
    this.#reservedSpace = new ReservedDiskSpace(folder, Math.min(maxBytes / KEPT_SHARE, MAX_RESERVED_BYTES));
    this.#reservedSpace.ensure();
    const unfinished = { events: recovered.events, pendingSettlements: recovered.pendingSettlements.length };
    if (unfinished.events + unfinished.pendingSettlements > 0) {
      log.info(unfinished, "spool of an earlier process recovered");
    }
  }

  /** Bytes of all segments on the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True while entries of new requests are accepted. */
  get hasSpace(): boolean {
    const { maxBytes } = this.#options;
    return this.#bytes < maxBytes - maxBytes / KEPT_SHARE && this.#reservedSpace.ensure();
  }

  /** Offset of the last record with a payload. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  /**
   * Writes an entry with one `write` before it returns.
   *
   * @throws SpoolFull if it cannot be written; no part of it is written then
   */
  append({ event, namespaceId, pendingSettlement, completes, isNewRequest = false }: SpoolEntry): EntryOffsets {
    if (isTooLarge(event) || isTooLarge(pendingSettlement)) throw new RangeError("an entry is too large for the spool");
    if (isNewRequest && !this.hasSpace) throw new SpoolFull("the spool is full");
    const eventOffset = event ? ++this.#lastOffset : 0;
    const pendingSettlementOffset = pendingSettlement ? ++this.#lastOffset : 0;
    this.#next.dropEntry();
    if (event) this.#next.add({ kind: "event", offset: eventOffset, payload: event });
    if (pendingSettlement)
      this.#next.add({ kind: "pendingSettlement", offset: pendingSettlementOffset, payload: pendingSettlement });
    if (completes !== undefined) this.#next.add({ kind: "completed", offset: completes });
    const segment = this.#writeNext();
    if (event) segment.unsent?.push({ offset: eventOffset, payload: event, namespaceId });
    if (pendingSettlement) this.#pending.add({ offset: pendingSettlementOffset, payload: pendingSettlement }, segment);
    if (completes !== undefined) this.#removePending(completes);
    return { eventOffset, pendingSettlementOffset };
  }

  /** Notes within 50 ms that a pending settlement was acknowledged. After a kill before that it is pending again. */
  complete(offset: number): void {
    this.#next.addMark({ kind: "completed", offset });
    this.#removePending(offset);
  }

  /**
   * Takes the next unsent events in the order of their offsets; those that were one batch in an earlier run stay one. The events of a
   * segment that cannot be read are left for later. Resolves to undefined if there are none. Not to be called again before it has resolved.
   */
  async nextBatch(maxEvents: number, maxBytes: number): Promise<EventBatch | undefined> {
    for (;;) {
      const now = performance.now();
      const segment = this.#segments.find(({ unsent, readAgainAt }) => unsent?.length !== 0 && readAgainAt <= now);
      if (segment === undefined) return undefined;
      segment.unsent ??= await loadUnsent(segment, this.#recovered, this.#options.log);
      if (segment.unsent === undefined) segment.readAgainAt = performance.now() + READ_AGAIN_MS;
      else if (segment.unsent.length === 0) this.#removeFinished();
      else return this.#batchFrom(segment, segment.unsent, maxEvents, maxBytes);
    }
  }

  /** Time until a segment that could not be read is read again; undefined if there is none. */
  readAgainInMs(): number | undefined {
    const times = this.#segments.flatMap(({ unsent, readAgainAt }) =>
      unsent === undefined && readAgainAt > 0 ? [readAgainAt] : [],
    );
    return times.length === 0 ? undefined : Math.max(0, Math.min(...times) - performance.now());
  }

  acknowledge({ first, last, segment, events }: EventBatch): void {
    segment.inFlight -= events.length;
    this.#next.addMark({ kind: "acknowledged", first, last });
    this.#removeFinished();
  }

  /** Resolves once everything that is written now survives the loss of power too. @throws Error of the file system */
  async sync(): Promise<void> {
    // A running sync may cover entries that were written before this call: wait for it, and fail if it fails.
    const previous = this.#syncing;
    const syncing = (async () => {
      await previous;
      await this.#syncSegments();
    })();
    this.#syncing = syncing;
    try {
      await syncing;
    } finally {
      if (this.#syncing === syncing) this.#syncing = undefined;
    }
  }

  /** Keeps unfinished records for the next process; removes every file if there are none. */
  async close(): Promise<void> {
    this.#flushMarks();
    this.#next.cancelFlush();
    this.#segments.at(-1)?.seal();
    this.#removeFinished();
    try {
      if (this.#segments.length > 0) await this.sync();
      // Moved settlements are removed from the old segment before another process has the folder.
      while (this.#syncing !== undefined) await this.#syncing;
    } finally {
      this.#reservedSpace.release();
      this.lock.release();
    }
  }

  async #syncSegments(): Promise<void> {
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    const movedTo = (to: Segment): readonly Segment[] => this.#segments.filter(({ moved }) => moved?.to === to);
    const moves = segments.flatMap(movedTo);
    try {
      for (const { path } of segments) await syncPath(path, "r+");
      await syncPath(this.#options.folder, "r");
    } catch (error) {
      // The kernel may have dropped the pages that it could not write: nothing more is added to such a file, and settlements moved to it
      // stay in their old segment.
      for (const segment of segments) segment.seal();
      for (const from of segments.flatMap(movedTo)) {
        this.#pending.move(from.moved?.offsets ?? [], from);
        from.moved = undefined;
      }
      throw error;
    }
    for (const from of moves) from.moved = undefined;
    this.#removeFinished();
  }

  #batchFrom(segment: Segment, unsent: SpooledEvent[], maxEvents: number, maxBytes: number): EventBatch {
    const events = unsent.splice(0, countOfNextBatch(unsent, this.#recovered, maxEvents, maxBytes));
    const first = events[0]?.offset ?? 0;
    const last = events.at(-1)?.offset ?? first;
    segment.inFlight += events.length;
    this.#next.addMark({ kind: "sent", first, last });
    return { id: `${segment.session}-${first}-${last}`, first, last, events, segment };
  }

  /** Writes the waiting marks and the entry after them. If the disk is full, it does so again after releasing the reserved space. */
  #writeNext(): Segment {
    const next = this.#next;
    try {
      if (this.#bytes + next.length > this.#options.maxBytes) throw new SpoolFull("the spool is full");
      const segment = this.#writeOrRelease(next.content);
      next.clear();
      return segment;
    } catch (error) {
      next.dropEntry();
      throw asSpoolFull(error);
    }
  }

  #writeOrRelease(bytes: Buffer): Segment {
    try {
      return this.#writeToSegment(bytes);
    } catch (error) {
      if (codeOf(error) !== "ENOSPC" || !this.#reservedSpace.release()) throw error;
    }
    return this.#writeToSegment(bytes);
  }

  #writeToSegment(bytes: Buffer): Segment {
    const segment = this.#openSegment();
    const sizeBefore = segment.size;
    segment.append(bytes);
    this.#bytes += segment.size - sizeBefore;
    this.#unsynced.add(segment);
    return segment;
  }

  #openSegment(): Segment {
    const { folder, maxBytes, segmentBytes = SEGMENT_BYTES } = this.#options;
    const newest = this.#segments.at(-1);
    // The newest segment is never removed, so it must be small against the spool.
    if (newest?.isWritable && newest.size < Math.min(segmentBytes, maxBytes / MIN_SEGMENTS)) return newest;
    newest?.seal();
    // Events of older segments are sent first: until then this segment's events stay on the disk and are not kept in memory.
    const isOlderUnsent = this.#segments.some((segment) => segment !== newest && segment.unsent?.length !== 0);
    if (newest?.inFlight === 0 && isOlderUnsent) newest.unsent = undefined;
    const segment = Segment.create(join(folder, segmentName(++this.#lastSegmentNumber)), this.#session);
    this.#segments.push(segment);
    return segment;
  }

  #flushMarks(): void {
    this.#next.cancelFlush();
    if (this.#next.length === 0) return;
    try {
      this.#writeNext();
    } catch {
      if (this.#next.isOverfull) this.#next.clear();
    }
  }

  #removePending(offset: number): void {
    this.#pending.remove(offset);
    this.#removeFinished();
  }

  /**
   * Writes the pending settlements of the oldest segment to the newest one if nothing else keeps the oldest, and syncs the newest. Until
   * that is done, the oldest is kept: a loss of power could leave it as the only copy.
   */
  #movePending(oldest: Segment): void {
    const isLarge =
      this.#segments.length > MIN_SEGMENTS_TO_MOVE && this.#bytes > MIN_SHARE_TO_MOVE * this.#pending.bytes;
    if (!isLarge || !oldest.isSent || oldest.pendingSettlements.size === 0 || oldest.moved !== undefined) return;
    // May exceed `maxBytes` once, by less than a segment, because the oldest segment is removed for it; not again if the sync fails.
    if (this.#bytes > this.#options.maxBytes) return;
    try {
      const bytes = Buffer.concat([this.#next.content, ...this.#pending.recordsOf(oldest)]);
      const to = this.#writeOrRelease(bytes);
      this.#next.clear();
      oldest.moved = { offsets: [...oldest.pendingSettlements], to };
      this.#pending.move(oldest.moved.offsets, to);
    } catch (error) {
      this.#options.log.warn(
        { err: error, path: oldest.path },
        "moving pending settlements out of the oldest segment failed",
      );
      return;
    }
    this.sync().catch((error: unknown) =>
      this.#options.log.error({ err: error }, "syncing moved settlements failed: their old segment is kept"),
    );
  }

  #removeFinished(): void {
    for (let [oldest] = this.#segments; oldest !== undefined; [oldest] = this.#segments) {
      if (!oldest.isFinished) return this.#movePending(oldest);
      this.#segments.shift();
      this.#unsynced.delete(oldest);
      this.#bytes -= oldest.size;
      try {
        oldest.remove();
      } catch (error) {
        this.#options.log.error({ err: error, path: oldest.path }, "removing a finished spool segment failed");
      }
    }
  }
}

function isTooLarge(payload: Uint8Array | undefined): boolean {
  return payload !== undefined && payload.length > MAX_PAYLOAD_BYTES;
}
