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
 * Slots for work on a shared resource, e.g. the connections of a pool. No owner, e.g. a namespace, uses more than its share: work
 * waits for slots of its own owner, and never because another owner has work waiting. First come, first served among owners
 * below their share.
 */
export class FairSlots {
  readonly #options: FairSlotsOptions;
  readonly #owners = new Map<string, Owner>();
  readonly #queue = new Set<Waiting>();
  #running = 0;

  constructor(options: FairSlotsOptions) {
    this.#options = options;
  }

  /** Runs `work` in a slot. @throws the error of `work`, or the refusal if no slot became free in time */
  async run<T>(ownerName: string, work: () => Promise<T>): Promise<T> {
    const owner = this.#owners.get(ownerName) ?? { running: 0, waiting: 0 };
    this.#owners.set(ownerName, owner);
    if (this.#hasFreeSlot(owner)) this.#occupy(owner);
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

  #hasFreeSlot(owner: Owner): boolean {
    return this.#running < this.#options.total && owner.running < this.#options.perOwner;
  }

  #occupy(owner: Owner): void {
    owner.running++;
    this.#running++;
  }

  /** Resolves once a slot is occupied. */
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
        this.#occupy(owner);
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
      if (this.#hasFreeSlot(owner)) start();
    }
  }
}
