/**
 * Bytes of request bodies that this process holds at a time, over all requests.
 *
 * No caller takes all of it. A namespace may hold as much as it leaves free: one alone gets half, two get a third each, and
 * there is always room for another. So do the keys within what their namespace may hold.
 */
export class BodyBudget {
  readonly #maxBytes: number;
  /** By holder. Only those that hold something. */
  readonly #held = new Map<string, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Opens the share of one request, which takes bytes piece by piece and gives them back at once when it is over.
   *
   * @param holders ids of those that the bytes count for, from the outermost in, e.g. a namespace and a key
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
    let room = this.#maxBytes - this.#bytes - bytes;
    for (const holder of holders) room -= (this.#held.get(holder) ?? 0) + bytes;
    return room >= 0;
  }

  #add(bytes: number, holders: readonly string[]): void {
    this.#bytes += bytes;
    for (const holder of holders) {
      const held = (this.#held.get(holder) ?? 0) + bytes;
      if (held === 0) this.#held.delete(holder);
      else this.#held.set(holder, held);
    }
  }
}

export interface BodyShare {
  /** False, and nothing taken, if there is no room. */
  take(bytes: number): boolean;
  /** Gives all of it back. */
  release(): void;
}
