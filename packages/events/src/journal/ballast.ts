import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A file of zeros whose room on the disk is given back when the disk is full, so that what running requests still have to
 * record can be written. No new request is taken until it stands again.
 */
export class Ballast {
  readonly #path: string;
  readonly #bytes: number;
  #stands = false;
  #triedAt = -Infinity;

  constructor(folder: string, bytes: number) {
    this.#path = join(folder, "ballast");
    this.#bytes = bytes;
  }

  /** Whether it stands; it is set up again if there is room, which is tried once a second. */
  ensure(): boolean {
    if (this.#stands) return true;
    const now = performance.now();
    if (now - this.#triedAt < RETRY_MS) return false;
    this.#triedAt = now;
    try {
      writeFileSync(this.#path, Buffer.alloc(this.#bytes), { mode: 0o600 });
      this.#stands = true;
    } catch {
      rmSync(this.#path, { force: true });
    }
    return this.#stands;
  }

  /** Gives its room back. @returns false if it had none */
  give(): boolean {
    const stood = this.#stands;
    this.#stands = false;
    this.#triedAt = performance.now();
    rmSync(this.#path, { force: true });
    return stood;
  }
}

const RETRY_MS = 1_000;
