import { DomainError, type Id } from "@routeplane/domain";

/** What could not be recorded, and why. */
export interface Unrecorded {
  /** Namespace that it says it is of; empty if it does not. */
  readonly namespaceId: string;
  /** Request that it says it is of; empty if it does not. */
  readonly requestId: string;
  readonly reason: string;
  /** A batch of events, if it can be read at all. */
  readonly payload: Uint8Array;
}

export type DeadLetterState = "held" | "replaying" | "replayed" | "discarded";

export interface DeadLetter extends Unrecorded {
  readonly id: Id<"dl">;
  readonly state: DeadLetterState;
  readonly createdAt: Date;
  /** Undefined until somebody changes it. */
  readonly changedAt: Date | undefined;
  /** The operator credential that had it replayed or discarded; empty if none has. */
  readonly changedById: string;
}

/** Where the aggregator sets aside what it cannot record. */
export interface DeadLetterBox {
  /** What is there already, byte for byte, stays as it is. */
  add(unrecorded: readonly Unrecorded[]): Promise<void>;
  /** Of those that are to be recorded again, the oldest; undefined if there is none. */
  nextToReplay(): Promise<DeadLetter | undefined>;
  /** How many wait for an operator. */
  countHeld(): Promise<bigint>;
  /** Ends a replay: `reason` says why it could not be recorded this time either; undefined: it was. */
  endReplay(id: Id<"dl">, reason: string | undefined): Promise<void>;
}

/** What operators see of it. */
export interface DeadLetterStore {
  /** Newest first, one more than `size` if there are more. */
  list(page: {
    readonly size: number;
    readonly before: Id<"dl"> | undefined;
    readonly state: DeadLetterState | undefined;
  }): Promise<readonly DeadLetter[]>;
  get(id: Id<"dl">): Promise<DeadLetter | undefined>;
  /** Moves it to `state` if it stands as one of `from`; undefined if there is no such dead letter, or it stands otherwise. */
  move(
    id: Id<"dl">,
    from: readonly DeadLetterState[],
    state: DeadLetterState,
    byId: string,
  ): Promise<DeadLetter | undefined>;
}

/** How an operator's wish moves it: from where, and what is done already. */
const MOVES = {
  replaying: ["held"],
  discarded: ["held"],
} as const;

/**
 * Has it replayed or discarded. Wishing it twice is like once.
 *
 * @returns undefined if there is no such dead letter
 * @throws DomainError FAILED_PRECONDITION if something else became of it
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
