/**
 * Budget of the memory for request bodies, over all requests of this process.
 *
 * No caller can take all of it. A body fits if the bytes of all requests, of its namespace and of its key, each with this
 * body, add up to no more than the budget. So a namespace alone gets less than half of it, two get at most a third each, and one
 * key alone gets a third.
 */
export class BodyBudget {
  readonly #maxBytes: number;
  /** Bytes by holder; holders of none are absent. */
  readonly #bytesByHolder = new Map<string, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Opens the share of one request, which grows with its body and is released as a whole.
   *
   * @param holders ids that the bytes are counted for, from the outermost in, e.g. a namespace and a key
   */
  open(holders: readonly string[]): BodyShare {
    let share = 0;
    return {
      take: (bytes) => {
        if (!this.#hasCapacity(bytes, holders)) return false;
        this.#add(bytes, holders);
        share += bytes;
        return true;
      },
      release: () => {
        this.#add(-share, holders);
        share = 0;
      },
    };
  }

  #hasCapacity(bytes: number, holders: readonly string[]): boolean {
    let free = this.#maxBytes - this.#bytes - bytes;
    for (const holder of holders) free -= (this.#bytesByHolder.get(holder) ?? 0) + bytes;
    return free >= 0;
  }

  #add(bytes: number, holders: readonly string[]): void {
    this.#bytes += bytes;
    for (const holder of holders) {
      const total = (this.#bytesByHolder.get(holder) ?? 0) + bytes;
      if (total === 0) this.#bytesByHolder.delete(holder);
      else this.#bytesByHolder.set(holder, total);
    }
  }
}

/** Bytes of one request in a `BodyBudget`. */
export interface BodyShare {
  /** Adds bytes. @returns false, with nothing added, if there is no space */
  take(bytes: number): boolean;
  /** Returns all bytes of the share to the budget. */
  release(): void;
}
