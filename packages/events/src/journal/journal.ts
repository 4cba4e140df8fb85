import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@routeplane/runtime";
import { Ballast } from "./ballast.ts";
import { encodeRecord, type JournalRecord, MAX_PAYLOAD_BYTES } from "./format.ts";
import { asJournalFull, JournalFull } from "./full.ts";
import { codeOf, lockFolder } from "./lock.ts";
import { type Debt, recover, type Recovered, segmentName } from "./recovery.ts";
import { type PlacedEvent, Segment } from "./segment.ts";
import { countToSend, loadWaiting, type Parcel, syncPath } from "./sending.ts";

export interface JournalOptions {
  /** Of this process alone. Made if missing. */
  readonly folder: string;
  /** What the records may take on the disk. A sixteenth of it is kept for what running requests still have to record. */
  readonly maxBytes: number;
  readonly log: Logger;
  /** A file that is this large is followed by another. 1 MiB by default, and never more than a 32nd of `maxBytes`. */
  readonly segmentBytes?: number;
}

/** What is recorded in one piece: all of it or nothing. */
export interface Entry {
  /** An encoded usage event. */
  readonly event?: Uint8Array | undefined;
  /** What this process owes another service from now on. */
  readonly debt?: Uint8Array | undefined;
  /** A debt that is paid with this. */
  readonly pays?: number | undefined;
  /** Whether it begins something new, for which the kept room is not there. */
  readonly isNew?: boolean;
}

const SEGMENT_BYTES = 1024 ** 2;
const SEGMENTS_AT_LEAST = 32;
const KEPT_SHARE = 16;
const MAX_BALLAST_BYTES = 4 * 1024 ** 2;
const FLUSH_MARKS_MS = 50;
const MAX_MARK_BYTES = 64 * 1024;

/**
 * What this process has to tell, on its disk before anything depends on it: usage events on their way to NATS, and debts to
 * other services. What is recorded survives the process (one write into the page cache, 1 to 2 us) and, after `sync`, the
 * machine. Whatever was not acknowledged or paid is there again after `Journal.open`.
 *
 * Memory is bounded: events wait in it only while they are in the oldest unsent segment or in the one that is written.
 */
export class Journal {
  /** What earlier processes left unpaid. */
  readonly debts: readonly Debt[];
  readonly #options: JournalOptions;
  readonly #found: Recovered;
  readonly #release: () => void;
  readonly #session = randomBytes(16).toString("hex");
  readonly #ballast: Ballast;
  readonly #segments: Segment[];
  /** Written to since the last sync. */
  readonly #unsynced = new Set<Segment>();
  readonly #owedIn = new Map<number, Segment>();
  #place: number;
  /** Of the newest segment. */
  #number: number;
  #bytes: number;
  /** What need not be on the disk before something else is: written with the next entry. */
  #marks: Buffer[] = [];
  #markBytes = 0;
  #flush: NodeJS.Timeout | undefined;

  /**
   * @throws FolderTaken if another living process has the folder
   * @throws Error of the file system
   */
  static open(options: JournalOptions): Journal {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    const lock = lockFolder(options.folder);
    try {
      return new Journal(options, recover(options.folder, options.log), lock.release);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  private constructor(options: JournalOptions, found: Recovered, release: () => void) {
    const { folder, maxBytes, log } = options;
    this.#options = options;
    this.#found = found;
    this.#release = release;
    this.#segments = found.segments;
    this.#place = found.lastPlace;
    this.#number = found.lastNumber;
    this.#bytes = found.segments.reduce((sum, { size }) => sum + size, 0);
    for (const segment of found.segments) for (const place of segment.owed) this.#owedIn.set(place, segment);
    this.debts = found.debts;
    this.#ballast = new Ballast(folder, Math.min(maxBytes / KEPT_SHARE, MAX_BALLAST_BYTES));
    this.#ballast.ensure();
    const left = { events: found.events, debts: found.debts.length };
    if (left.events + left.debts > 0) log.info(left, "the spool holds what an earlier process did not finish");
  }

  /** On the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether something new may be recorded now. */
  get hasRoom(): boolean {
    const { maxBytes } = this.#options;
    return this.#bytes < maxBytes - maxBytes / KEPT_SHARE && this.#ballast.ensure();
  }

  /** Place of the last entry. */
  get last(): number {
    return this.#place;
  }

  /**
   * Records an entry with one write before it returns, and gives the places of its parts (0 for one that it has not).
   *
   * @throws JournalFull if it cannot be recorded: nothing of it is
   */
  append({ event, debt, pays, isNew = false }: Entry): { readonly event: number; readonly debt: number } {
    const places = { event: event ? ++this.#place : 0, debt: debt ? ++this.#place : 0 };
    const records: JournalRecord[] = [];
    if (event) records.push({ kind: "event", place: places.event, payload: event });
    if (debt) records.push({ kind: "debt", place: places.debt, payload: debt });
    if (pays !== undefined) records.push({ kind: "paid", place: pays });
    if ([event, debt].some((each) => each !== undefined && each.length > MAX_PAYLOAD_BYTES))
      throw new RangeError("an entry is too large for the journal");
    if (isNew && !this.hasRoom) throw new JournalFull("the spool is full");
    const segment = this.#write(records.map(encodeRecord));
    if (event) segment.waiting?.push({ place: places.event, payload: event });
    if (debt) {
      segment.owed.add(places.debt);
      this.#owedIn.set(places.debt, segment);
    }
    if (pays !== undefined) this.#forget(pays);
    return places;
  }

  /** A debt is paid: noted within 50 ms. Paying it again after a kill must do no harm. */
  pay(place: number): void {
    this.#mark({ kind: "paid", place });
    this.#forget(place);
  }

  /**
   * The next events to be sent, in the order in which they were recorded: those that were one message stay one. Undefined if
   * there are none. To be called by one caller at a time.
   */
  async take(maxEvents: number, maxBytes: number): Promise<Parcel | undefined> {
    for (;;) {
      const segment = this.#segments.find(({ waiting }) => waiting?.length !== 0);
      if (segment === undefined) return undefined;
      segment.waiting ??= await this.#load(segment);
      if (segment.waiting.length === 0) this.#removeDone();
      else return this.#parcelOf(segment, segment.waiting, maxEvents, maxBytes);
    }
  }

  acknowledge({ place, last, segment, payloads }: Parcel): void {
    segment.inFlight -= payloads.length;
    this.#mark({ kind: "acked", place, last });
    this.#removeDone();
  }

  /** Resolves once everything that is recorded now survives the loss of power too. @throws Error of the file system */
  async sync(): Promise<void> {
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    try {
      for (const { path } of segments) await syncPath(path, "r+");
      await syncPath(this.#options.folder, "r");
    } catch (error) {
      // What the kernel could not write it may have dropped: nothing is added to such a file.
      for (const segment of segments) segment.seal();
      throw error;
    }
  }

  /** Keeps what is not finished for the next process, and leaves nothing if all is. */
  async close(): Promise<void> {
    this.#flushMarks();
    clearTimeout(this.#flush);
    this.#segments.at(-1)?.seal();
    this.#removeDone();
    if (this.#segments.length > 0) await this.sync();
    this.#ballast.give();
    this.#release();
  }

  #parcelOf(segment: Segment, waiting: PlacedEvent[], maxEvents: number, maxBytes: number): Parcel {
    const events = waiting.splice(0, countToSend(waiting, this.#found, maxEvents, maxBytes));
    const place = events[0]?.place ?? 0;
    const last = events.at(-1)?.place ?? place;
    segment.inFlight += events.length;
    this.#mark({ kind: "sent", place, last });
    this.#flushMarks();
    const payloads = events.map(({ payload }) => payload);
    return { id: `${segment.session}-${place}-${last}`, place, last, payloads, segment };
  }

  async #load(segment: Segment): Promise<PlacedEvent[]> {
    try {
      return await loadWaiting(segment, this.#found);
    } catch (error) {
      this.#options.log.error({ err: error, path: segment.path }, "a segment of the journal cannot be read");
      return [];
    }
  }

  #write(records: readonly Buffer[]): Segment {
    const bytes = Buffer.concat([...this.#marks, ...records]);
    if (this.#bytes + bytes.length > this.#options.maxBytes) throw new JournalFull("the spool is full");
    try {
      return this.#writeToSegment(bytes);
    } catch (error) {
      if (codeOf(error) !== "ENOSPC" || !this.#ballast.give()) throw asJournalFull(error);
    }
    try {
      return this.#writeToSegment(bytes);
    } catch (error) {
      throw asJournalFull(error);
    }
  }

  #writeToSegment(bytes: Buffer): Segment {
    const segment = this.#openSegment();
    const before = segment.size;
    segment.append(bytes);
    this.#bytes += segment.size - before;
    this.#unsynced.add(segment);
    this.#dropMarks();
    return segment;
  }

  #openSegment(): Segment {
    const { folder, maxBytes, segmentBytes = SEGMENT_BYTES } = this.#options;
    const last = this.#segments.at(-1);
    // The one that is written is never removed: it must not fill the spool.
    if (last?.isOpen && last.size < Math.min(segmentBytes, maxBytes / SEGMENTS_AT_LEAST)) return last;
    last?.seal();
    // Nobody sends from it yet: its events need not wait in memory, they are on the disk.
    if (last !== undefined && this.#segments.some((each) => each !== last && each.waiting?.length !== 0)) {
      if (last.inFlight === 0) last.waiting = undefined;
    }
    const segment = Segment.create(join(folder, segmentName(++this.#number)), this.#session);
    this.#segments.push(segment);
    return segment;
  }

  #mark(mark: JournalRecord): void {
    const bytes = encodeRecord(mark);
    this.#marks.push(bytes);
    this.#markBytes += bytes.length;
    this.#flush ??= setTimeout(() => this.#flushMarks(), FLUSH_MARKS_MS).unref();
  }

  #flushMarks(): void {
    clearTimeout(this.#flush);
    this.#flush = undefined;
    if (this.#marks.length === 0) return;
    try {
      this.#write([]);
    } catch {
      // Without a mark something is done once more, which does no harm.
      if (this.#markBytes > MAX_MARK_BYTES) this.#dropMarks();
    }
  }

  #dropMarks(): void {
    this.#marks = [];
    this.#markBytes = 0;
  }

  #forget(place: number): void {
    this.#owedIn.get(place)?.owed.delete(place);
    this.#owedIn.delete(place);
    this.#removeDone();
  }

  /** The oldest first, so that a mark lives as long as what it is about. */
  #removeDone(): void {
    for (let [oldest] = this.#segments; oldest?.isDone; [oldest] = this.#segments) {
      this.#segments.shift();
      this.#unsynced.delete(oldest);
      this.#bytes -= oldest.size;
      try {
        oldest.remove();
      } catch (error) {
        this.#options.log.error({ err: error, path: oldest.path }, "a finished segment of the journal stays");
      }
    }
  }
}
