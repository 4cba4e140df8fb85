export interface FairSlotsOptions {
  /** Work of all owners together that runs at a time. */
  readonly total: number;
  /** Work of one owner that runs at a time. */
  readonly perOwner: number;
  /** Work of one owner that waits for a slot at a time. */
  readonly waitingPerOwner: number;
  /** Longest wait for a slot. Milliseconds. */
  readonly waitMs: number;
  /** Makes the error of work that gets no slot. */
  readonly refusal: () => Error;
}

interface Owner {
  running: number;
  waiting: number;
}

interface Waiting {
  readonly owner: Owner;
  readonly start: () => void;
}

/**
 * Slots for work on a shared resource, of which no owner (a namespace, say) takes up more than its share: work of one owner waits
 * for its own, and never because of how much of another's waits. First come, first served among owners that have room.
 */
export class FairSlots {
  readonly #options: FairSlotsOptions;
  readonly #owners = new Map<string, Owner>();
  readonly #queue = new Set<Waiting>();
  #running = 0;

  constructor(options: FairSlotsOptions) {
    this.#options = options;
  }

  /** @throws whatever `work` throws, or the refusal if no slot became free in time */
  async run<T>(ownerName: string, work: () => Promise<T>): Promise<T> {
    const owner = this.#owners.get(ownerName) ?? { running: 0, waiting: 0 };
    this.#owners.set(ownerName, owner);
    if (this.#hasRoom(owner)) this.#take(owner);
    else await this.#wait(owner);
    try {
      return await work();
    } finally {
      owner.running--;
      this.#running--;
      this.#startNext();
      if (owner.running === 0 && owner.waiting === 0) this.#owners.delete(ownerName);
    }
  }

  #hasRoom(owner: Owner): boolean {
    return this.#running < this.#options.total && owner.running < this.#options.perOwner;
  }

  #take(owner: Owner): void {
    owner.running++;
    this.#running++;
  }

  /** Resolves with a slot taken. */
  #wait(owner: Owner): Promise<void> {
    const { waitingPerOwner, waitMs, refusal } = this.#options;
    if (owner.waiting >= waitingPerOwner) return Promise.reject(refusal());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      clearTimeout(timer);
      this.#queue.delete(waiting);
      owner.waiting--;
    };
    const waiting: Waiting = {
      owner,
      start: () => {
        leave();
        this.#take(owner);
        resolve();
      },
    };
    const timer = setTimeout(() => {
      leave();
      reject(refusal());
    }, waitMs);
    owner.waiting++;
    this.#queue.add(waiting);
    return promise;
  }

  #startNext(): void {
    for (const { owner, start } of this.#queue) {
      if (this.#running >= this.#options.total) return;
      if (this.#hasRoom(owner)) start();
    }
  }
}
