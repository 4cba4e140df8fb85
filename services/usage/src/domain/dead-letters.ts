import { DomainError, type Id } from "@routeplane/domain";

/** Event or message that could not be recorded, with the reason. */
export interface Unrecorded {
  /** Namespace that the event names; empty if it names none. */
  readonly namespaceId: string;
  /** Request that the event names; empty if it names none. */
  readonly requestId: string;
  readonly reason: string;
  /** Bytes of a message: a batch of events, if they can be decoded at all. */
  readonly payload: Uint8Array;
}

export type DeadLetterState = "held" | "replaying" | "replayed" | "discarded";

/** Dead letter as lists show it: without its bytes, of which a page of large messages would have too many. */
export type ListedDeadLetter = Omit<DeadLetter, "payload">;

export interface DeadLetter extends Unrecorded {
  readonly id: Id<"dl">;
  readonly state: DeadLetterState;
  readonly createdAt: Date;
  /** Undefined until the state changes for the first time. */
  readonly changedAt: Date | undefined;
  /** Operator credential that replayed or discarded it; empty if none did. */
  readonly changedById: string;
}

/** Dead letters as the aggregator writes and replays them. */
export interface DeadLetterBox {
  /** Stores dead letters. A dead letter with the same bytes as a stored one changes nothing. */
  add(unrecorded: readonly Unrecorded[]): Promise<void>;
  /** Returns the oldest dead letter in state `replaying`; undefined if there is none. */
  nextToReplay(): Promise<DeadLetter | undefined>;
  /** Counts the dead letters in state `held`, which wait for an operator. */
  countHeld(): Promise<bigint>;
  /** Ends a replay. `reason` says why the event could not be recorded this time; undefined if it was. */
  endReplay(id: Id<"dl">, reason: string | undefined): Promise<void>;
}

/** Dead letters as operators read and change them. */
export interface DeadLetterStore {
  /** Lists dead letters, newest first; one more than `size` if there are more. */
  list(page: {
    readonly size: number;
    readonly before: Id<"dl"> | undefined;
    readonly state: DeadLetterState | undefined;
  }): Promise<readonly ListedDeadLetter[]>;
  get(id: Id<"dl">): Promise<DeadLetter | undefined>;
  /** Moves a dead letter to `state` if its state is one of `from`; otherwise, or if there is none, returns undefined. */
  move(
    id: Id<"dl">,
    from: readonly DeadLetterState[],
    state: DeadLetterState,
    byId: string,
  ): Promise<DeadLetter | undefined>;
}

/** States from which an operator can move a dead letter, keyed by the state that it moves to. */
const MOVES = {
  replaying: ["held"],
  discarded: ["held"],
} as const;

/**
 * Replays or discards a dead letter. Idempotent: doing it twice has the effect of once.
 *
 * @returns undefined if there is no such dead letter
 * @throws DomainError FAILED_PRECONDITION if it is in another state
 */
export async function moveDeadLetter(
  store: DeadLetterStore,
  id: Id<"dl">,
  state: keyof typeof MOVES,
  byId: string,
): Promise<DeadLetter | undefined> {
  const moved = await store.move(id, MOVES[state], state, byId);
  const letter = moved ?? (await store.get(id));
  if (letter === undefined || letter.state === state) return letter;
  const message = `the dead letter is ${letter.state}: only one that is held can be replayed or discarded`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}
