import { DomainError } from "@routeplane/domain";

/** A change of something that others keep answers about; without a subject, word of the last one. */
export interface Change {
  readonly sequence: bigint;
  /** Id of what changed; undefined: nothing changed, this is the last number. */
  readonly subjectId: string | undefined;
}

/**
 * Fans changes out to whoever watches. Numbers have no hole, so a watcher sees by itself when it missed one; this feed only
 * must never say a number before the change that it belongs to, and say nothing while it does not know.
 */
export interface ChangeFeed {
  /** Whether changes can be followed now. */
  isLive(): boolean;
  /** Calls `listener` with whatever watchers are told, in this process and before they are. */
  subscribe(listener: (change: Change) => void): void;
  /**
   * What changes from now on, beginning with the last number.
   *
   * @throws DomainError UNAVAILABLE while changes cannot be followed
   */
  watch(signal: AbortSignal): AsyncIterable<Change>;
  /** A change was announced. */
  announced(sequence: bigint, subjectId: string): void;
  /**
   * The counter was read on the connection on which changes are announced.
   *
   * @param fresh whether announcements may have been missed before
   */
  confirmed(sequence: bigint, fresh: boolean): void;
  /** Changes cannot be followed until the next confirmation. */
  lost(): void;
  /** Ends every watch, and lets no other begin. */
  close(): void;
}

/** A watcher that takes nothing for so long is told the last number instead, from which it sees that it missed some. */
const MAX_WAITING = 1_000;

export function createChangeFeed(): ChangeFeed {
  const listeners: ((change: Change) => void)[] = [];
  const watchers = new Set<Watcher>();
  let following = false;
  let closed = false;
  let last = 0n;
  let lastAtConfirmation = 0n;
  let counted = 0n;
  let early = 0n;
  const tell = (change: Change): void => {
    for (const listener of listeners) listener(change);
    for (const watcher of watchers) watcher.tell(change);
  };

  return {
    isLive: () => following,
    subscribe: (listener) => void listeners.push(listener),

    async *watch(signal) {
      if (!following || closed) throw cannotFollow();
      const watcher = new Watcher();
      watcher.tell({ sequence: last, subjectId: undefined });
      const end = (): void => watcher.end();
      signal.addEventListener("abort", end, { once: true });
      watchers.add(watcher);
      try {
        while (!watcher.ended) {
          yield* watcher.take();
          await watcher.arrival();
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener("abort", end);
      }
    },

    announced(sequence, subjectId) {
      // On a fresh connection it may come just before the first confirmation, and be newer than that.
      if (!following) early = sequence;
      if (!following || sequence <= last) return;
      last = sequence;
      tell({ sequence, subjectId });
    },

    confirmed(sequence, fresh) {
      // What was counted a whole confirmation ago and is not announced yet never will be; and a counter that went back was
      // restored. Either way the jump tells the watchers.
      if (fresh) last = early > sequence ? early : sequence;
      else if (counted > last || sequence < lastAtConfirmation) last = sequence;
      following = true;
      lastAtConfirmation = last;
      counted = sequence;
      tell({ sequence: last, subjectId: undefined });
    },

    lost() {
      following = false;
      early = 0n;
    },

    close() {
      closed = true;
      watchers.forEach((watcher) => watcher.end());
    },
  };
}

class Watcher {
  #waiting: Change[] = [];
  #arrival = Promise.withResolvers<void>();
  #ended = false;

  tell(change: Change): void {
    if (this.#waiting.length >= MAX_WAITING) this.#waiting = [{ sequence: change.sequence, subjectId: undefined }];
    else this.#waiting.push(change);
    this.#arrival.resolve();
  }

  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
    this.#arrival.resolve();
  }

  arrival(): Promise<void> {
    return this.#arrival.promise;
  }

  take(): readonly Change[] {
    const taken = this.#waiting;
    this.#waiting = [];
    this.#arrival = Promise.withResolvers();
    return taken;
  }
}

function cannotFollow(): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "changes cannot be followed now; try again", {
    metadata: { dependency: "postgres" },
  });
}
