import { encodeRecord, type SpoolRecord } from "./format.ts";

const FLUSH_AFTER_MS = 50;
const MAX_BYTES = 64 * 1024;

/**
 * Encoded marks (sent, acknowledged, completed) that are not on the disk yet. They are written with the next entry, or on
 * their own after 50 ms. Losing one repeats work, which does no harm: a batch is sent again under its id, a settlement is
 * made again.
 */
export class MarkBuffer {
  readonly #flush: () => void;
  #records: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param flush is called once, 50 ms after the first mark; it writes `records` and clears the buffer */
  constructor(flush: () => void) {
    this.#flush = flush;
  }

  get records(): readonly Buffer[] {
    return this.#records;
  }

  /** True once the marks take so much memory that they are dropped if they cannot be written. */
  get isOverfull(): boolean {
    return this.#bytes > MAX_BYTES;
  }

  add(mark: SpoolRecord): void {
    const bytes = encodeRecord(mark);
    this.#records.push(bytes);
    this.#bytes += bytes.length;
    this.#timer ??= setTimeout(this.#flush, FLUSH_AFTER_MS).unref();
  }

  clear(): void {
    this.#records = [];
    this.#bytes = 0;
  }

  cancelFlush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
