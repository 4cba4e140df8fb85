import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Name on the disk, as it was released. */
const FILE = "ballast";
const RETRY_AFTER_MS = 1_000;

/**
 * A file of zeros that is deleted when the disk is full, so that running requests can still be recorded. New requests are
 * refused until it is written again.
 */
export class ReservedDiskSpace {
  readonly #path: string;
  readonly #bytes: number;
  #isReserved = false;
  #lastAttemptAt = -Infinity;

  constructor(folder: string, bytes: number) {
    this.#path = join(folder, FILE);
    this.#bytes = bytes;
  }

  /** Writes the file if it is not there, at most once a second. @returns true if the space is reserved */
  ensure(): boolean {
    if (this.#isReserved) return true;
    const now = performance.now();
    if (now - this.#lastAttemptAt < RETRY_AFTER_MS) return false;
    this.#lastAttemptAt = now;
    try {
      writeFileSync(this.#path, Buffer.alloc(this.#bytes), { mode: 0o600 });
      this.#isReserved = true;
    } catch {
      rmSync(this.#path, { force: true });
    }
    return this.#isReserved;
  }

  /** Deletes the file. @returns false if no space was reserved */
  release(): boolean {
    const wasReserved = this.#isReserved;
    this.#isReserved = false;
    this.#lastAttemptAt = performance.now();
    rmSync(this.#path, { force: true });
    return wasReserved;
  }
}
