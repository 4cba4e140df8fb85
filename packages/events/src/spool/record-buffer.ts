import { sizeOf, type SpoolRecord, writeRecord } from "./format.ts";

const FLUSH_AFTER_MS = 50;
const MAX_MARK_BYTES = 64 * 1024;
const INITIAL_BYTES = 16 * 1024;

/**
 * Encoded records of the next write to the spool, in bytes that are allocated once: marks (sent, acknowledged, completed) that are not on
 * the disk yet, and after them the records of an entry. Marks are written with the next entry, or on their own after 50 ms. Losing
 * one repeats work, which does no harm: a batch is sent again, a settlement is made again.
 */
export class RecordBuffer {
  readonly #flush: () => void;
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #markBytes = 0;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param flush is called once, 50 ms after the first mark; it writes `content` and clears the buffer */
  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** Number of bytes of all its records. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of all its records; valid until the next one is added. */
  get content(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** True once the marks take so much memory that they are dropped if they cannot be written. */
  get isOverfull(): boolean {
    return this.#markBytes > MAX_MARK_BYTES;
  }

  /** Adds a mark. No record of an entry may be in the buffer. */
  addMark(mark: SpoolRecord): void {
    this.add(mark);
    this.#markBytes = this.#length;
    this.#timer ??= setTimeout(this.#flush, FLUSH_AFTER_MS).unref();
  }

  /** Adds a record of an entry. */
  add(record: SpoolRecord): void {
    const size = sizeOf(record);
    if (this.#length + size > this.#bytes.length) this.#grow(size);
    writeRecord(record, this.#bytes, this.#length);
    this.#length += size;
  }

  /** Removes the records of an entry that will not be written. */
  dropEntry(): void {
    this.#length = this.#markBytes;
  }

  clear(): void {
    this.#markBytes = 0;
    this.#length = 0;
  }

  cancelFlush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #grow(size: number): void {
    const larger = Buffer.allocUnsafeSlow(2 * (this.#length + size));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
