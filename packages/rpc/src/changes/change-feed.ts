import { DomainError } from "@routeplane/domain";

/** One message of a change feed: a numbered change of a subject or, without a subject, the last number. */
export interface Change {
  readonly sequence: bigint;
  /** Id of the subject that changed; undefined if none did. */
  readonly subjectId: string | undefined;
  /** Bindings whose free amounts gateways should return; only in messages of `recall`. */
  readonly recalledBindingIds?: readonly string[];
}

/**
 * Change feed of a service: sends what its database announces to listeners in the process and to watchers that call.
 *
 * Sequence numbers have no gaps, so a receiver notices by itself that it missed a change. The feed never sends a number before the change
 * that it belongs to, and sends nothing while it is not live. `announced`, `confirmed` and `lost` are called by the subscription to the
 * database (`subscribeToChanges` of packages/postgres).
 */
export interface ChangeFeed {
  /** True while changes are received from the database. */
  isLive(): boolean;
  /** Adds a listener for the life of the process; it is called before the watchers receive the same message. */
  subscribe(listener: (change: Change) => void): void;
  /**
   * Streams the changes from now on, beginning with the last number.
   *
   * @throws DomainError UNAVAILABLE while the feed is not live
   */
  watch(signal: AbortSignal): AsyncIterable<Change>;
  /** Called for each change that the database announces. */
  announced(sequence: bigint, subjectId: string): void;
  /**
   * Called with the counter of changes, read at intervals on the connection on which they are announced.
   *
   * @param fresh true if announcements may have been missed before
   */
  confirmed(sequence: bigint, fresh: boolean): void;
  /** Sends a recall to the watchers, with the last number. Does nothing while the feed is not live: a recall is only a request. */
  recall(bindingIds: readonly string[]): void;
  /** Called when the connection is lost: the feed is not live until the next confirmation. */
  lost(): void;
  /** Ends every watch, and refuses new ones. */
  close(): void;
}

/** Maximum queue of a watcher. Beyond it, the queue is replaced by the last number, from which the watcher sees the gap. */
const MAX_QUEUED_CHANGES = 1_000;

export function createChangeFeed(): ChangeFeed {
  const listeners: ((change: Change) => void)[] = [];
  const watchers = new Set<Watcher>();
  let isLive = false;
  let isClosed = false;
  let last = 0n;
  let lastAtConfirmation = 0n;
  let lastConfirmed = 0n;
  let announcedBeforeLive = 0n;
  const send = (change: Change): void => {
    for (const listener of listeners) listener(change);
    for (const watcher of watchers) watcher.push(change);
  };

  return {
    isLive: () => isLive,
    subscribe: (listener) => void listeners.push(listener),

    async *watch(signal) {
      if (!isLive || isClosed) throw notLive();
      const watcher = new Watcher();
      watcher.push({ sequence: last, subjectId: undefined });
      const end = (): void => watcher.end();
      signal.addEventListener("abort", end, { once: true });
      watchers.add(watcher);
      try {
        while (!watcher.isEnded) {
          yield* watcher.takeQueue();
          await watcher.nextPush();
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener("abort", end);
      }
    },

    announced(sequence, subjectId) {
      // On a fresh connection an announcement may precede the first confirmation, and be newer than it.
      if (!isLive) announcedBeforeLive = sequence;
      if (!isLive || sequence <= last) return;
      last = sequence;
      send({ sequence, subjectId });
    },

    confirmed(sequence, fresh) {
      // If the previous confirmation counted a change that is still not announced, its announcement was lost. If the counter went
      // back, the database was restored from a backup. In both cases the watchers see the gap in the numbers.
      if (fresh) last = announcedBeforeLive > sequence ? announcedBeforeLive : sequence;
      else if (lastConfirmed > last || sequence < lastAtConfirmation) last = sequence;
      isLive = true;
      lastAtConfirmation = last;
      lastConfirmed = sequence;
      send({ sequence: last, subjectId: undefined });
    },

    recall(recalledBindingIds) {
      if (isLive)
        for (const watcher of watchers) watcher.push({ sequence: last, subjectId: undefined, recalledBindingIds });
    },

    lost() {
      isLive = false;
      announcedBeforeLive = 0n;
    },

    close() {
      isClosed = true;
      watchers.forEach((watcher) => watcher.end());
    },
  };
}

/** Bounded queue of the messages for one watcher. */
class Watcher {
  #queue: Change[] = [];
  #pushed = Promise.withResolvers<void>();
  #isEnded = false;

  push(change: Change): void {
    if (this.#queue.length >= MAX_QUEUED_CHANGES) this.#queue = [{ sequence: change.sequence, subjectId: undefined }];
    else this.#queue.push(change);
    this.#pushed.resolve();
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  end(): void {
    this.#isEnded = true;
    this.#pushed.resolve();
  }

  /** Resolves when something has been pushed since the last `takeQueue`, or the watcher has ended. */
  nextPush(): Promise<void> {
    return this.#pushed.promise;
  }

  takeQueue(): readonly Change[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#pushed = Promise.withResolvers();
    return queue;
  }
}

function notLive(): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "changes cannot be received now; try again", {
    metadata: { dependency: "postgres" },
  });
}
