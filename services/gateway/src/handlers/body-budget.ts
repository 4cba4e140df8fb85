/** Bytes of request bodies that this process holds at a time, over all requests. */
export class BodyBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What one request takes, piece by piece, and gives back at once when it is over. */
  open(): BodyShare {
    let share = 0;
    return {
      take: (bytes) => {
        if (this.#bytes + bytes > this.#maxBytes) return false;
        this.#bytes += bytes;
        share += bytes;
        return true;
      },
      release: () => {
        this.#bytes -= share;
        share = 0;
      },
    };
  }
}

export interface BodyShare {
  /** False, and nothing taken, if there is no room. */
  take(bytes: number): boolean;
  /** Gives all of it back. */
  release(): void;
}
