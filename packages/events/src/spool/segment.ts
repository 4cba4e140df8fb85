import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { encodeHeader } from "./format.ts";
import { codeOf } from "./lock.ts";

/** Encoded usage event at its offset in the spool. */
export interface SpooledEvent {
  readonly offset: number;
  readonly payload: Uint8Array;
  /** Namespace of the event; undefined if the event was read from the disk. */
  readonly namespaceId?: string | undefined;
}

/** Pending settlements that were written again, to a newer segment. */
export interface MovedSettlements {
  readonly offsets: readonly number[];
  readonly to: Segment;
}

/** One file of the spool, with the state of the records in it. */
export class Segment {
  readonly path: string;
  /** Id of the session that wrote it. */
  readonly session: string;
  size: number;
  /** Events that are not part of a batch yet, in order; undefined while they are only on the disk. */
  unsent: SpooledEvent[] | undefined;
  /** Monotonic time before which its file, which could not be read, is not read again. */
  readAgainAt = 0;
  /** Number of events in batches that are not acknowledged. */
  inFlight = 0;
  /** Offsets of its pending settlements. */
  readonly pendingSettlements = new Set<number>();
  /** Pending settlements that were written again to a segment that is not synced yet; undefined if there are none. */
  moved: MovedSettlements | undefined;
  #descriptor: number | undefined;

  /** A segment that an earlier process wrote. It is sealed. */
  static existing(path: string, session: string, size: number): Segment {
    return new Segment(path, session, size, undefined, undefined);
  }

  /** @throws Error of the file system */
  static create(path: string, session: string): Segment {
    return new Segment(path, session, 0, [], openSync(path, "wx", 0o600));
  }

  private constructor(
    path: string,
    session: string,
    size: number,
    unsent: SpooledEvent[] | undefined,
    descriptor: number | undefined,
  ) {
    this.path = path;
    this.session = session;
    this.size = size;
    this.unsent = unsent;
    this.#descriptor = descriptor;
  }

  /** True until it is sealed. */
  get isWritable(): boolean {
    return this.#descriptor !== undefined;
  }

  /** True once it is sealed and all its events are acknowledged. */
  get isSent(): boolean {
    return !this.isWritable && this.unsent?.length === 0 && this.inFlight === 0;
  }

  /** True once no record in it is needed any more. */
  get isFinished(): boolean {
    return this.isSent && this.pendingSettlements.size === 0 && this.moved === undefined;
  }

  /** Writes all of `records` or, if the file system refuses, nothing. @throws Error of the file system */
  append(records: Buffer): void {
    if (this.#descriptor === undefined) throw new Error(`${this.path} is sealed`);
    const bytes = this.size === 0 ? Buffer.concat([encodeHeader(this.session), records]) : records;
    try {
      for (let written = 0; written < bytes.length;) {
        written += writeSync(this.#descriptor, bytes, written, bytes.length - written, this.size + written);
      }
    } catch (error) {
      this.#truncate();
      throw error;
    }
    this.size += bytes.length;
  }

  seal(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  remove(): void {
    this.seal();
    unlinkSync(this.path);
  }

  /** Removes a partial write, which must not stand between whole records; seals the segment if that fails. */
  #truncate(): void {
    try {
      ftruncateSync(this.#descriptor ?? -1, this.size);
    } catch {
      this.seal();
    }
  }
}

/** Syncs a file (flags `r+`) or folder (`r`) to the disk. A missing one is fine. @throws Error of the file system */
export async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  try {
    const file = await open(path, flags);
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // A finished segment may have been removed meanwhile.
    if (codeOf(error) !== "ENOENT") throw error;
  }
}
