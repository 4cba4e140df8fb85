import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { encodeHeader } from "./format.ts";

/** A usage event, encoded, at its place in the journal. */
export interface PlacedEvent {
  readonly place: number;
  readonly payload: Uint8Array;
}

/** One file of the journal, and what is still to be done about its content. */
export class Segment {
  readonly path: string;
  /** Of the process that wrote it. */
  readonly session: string;
  size: number;
  /** Events that nobody has begun to send, in order; undefined while they are only on the disk. */
  waiting: PlacedEvent[] | undefined;
  /** Events that were taken to be sent and are not acknowledged. */
  inFlight = 0;
  /** Places of its debts that are not paid. */
  readonly owed = new Set<number>();
  #descriptor: number | undefined;

  /** One that is on the disk: nothing is added to it any more. */
  static found(path: string, session: string, size: number): Segment {
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
    waiting: PlacedEvent[] | undefined,
    descriptor: number | undefined,
  ) {
    this.path = path;
    this.session = session;
    this.size = size;
    this.waiting = waiting;
    this.#descriptor = descriptor;
  }

  /** Whether records may still be added. */
  get isOpen(): boolean {
    return this.#descriptor !== undefined;
  }

  /** Whether nothing in it is needed any more. */
  get isDone(): boolean {
    return !this.isOpen && this.waiting?.length === 0 && this.inFlight === 0 && this.owed.size === 0;
  }

  /** All of it or, if the file system refuses, nothing. @throws Error of the file system */
  append(records: Buffer): void {
    if (this.#descriptor === undefined) throw new Error(`${this.path} is sealed`);
    const bytes = this.size === 0 ? Buffer.concat([encodeHeader(this.session), records]) : records;
    try {
      for (let written = 0; written < bytes.length;) {
        written += writeSync(this.#descriptor, bytes, written, bytes.length - written, this.size + written);
      }
    } catch (error) {
      this.#cutBack();
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

  /** What was written in part must not lie between whole records. */
  #cutBack(): void {
    try {
      ftruncateSync(this.#descriptor ?? -1, this.size);
    } catch {
      this.seal();
    }
  }
}
