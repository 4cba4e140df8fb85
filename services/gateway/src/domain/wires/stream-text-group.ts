import { MAX_MATCH_CHARS } from "@routeplane/guardrails";

/** End of a text that has left. */
export interface Tail {
  /** Text that could have become a match, as it was read. */
  readonly held: string;
  /** The same text as it has left. */
  readonly left: string;
}

/** The part of a text that its group reads. */
interface Held {
  /** Text that has not left, as it was read. */
  readonly held: string;
  /** True once there is any text. */
  readonly hasBegun: boolean;
}

/** Text of a group. */
export interface GroupMember {
  readonly position: number;
  /** Undefined once the text has ended. */
  open: Held | undefined;
  /** End of a text that has ended. */
  tail: Tail;
  /** Beginning of the text as it has left, up to the length of a match. */
  head: string;
}

/** Beginning of the texts after another one. */
export interface Behind {
  /** The beginning as it has left, up to the length of a match. */
  readonly head: string;
  /** True if the text at its end goes on. */
  readonly goesOn: boolean;
}

/** Number of texts of a group beyond which neighbours that have ended are kept as one. */
const MAX_MEMBERS = 64;
const NOTHING: Tail = { held: "", left: "" };

/**
 * Texts of a stream that are read as one, in the order of their positions, in which clients have them. Pieces of several texts can mix: a
 * match over two neighbours is judged once the end of the first and the beginning of the second have arrived.
 */
export class StreamTextGroup {
  readonly #members: GroupMember[] = [];

  /** Adds a text that is opened, after those of its position. */
  add(position: number, open: Held): GroupMember {
    const member: GroupMember = { position, open, tail: NOTHING, head: "" };
    this.#members.splice(this.#members.findLastIndex((other) => !(other.position > position)) + 1, 0, member);
    return member;
  }

  /** End of the text before one that has any: of an open text, what is held of it so far. */
  tailBefore(member: GroupMember): Tail {
    for (let at = this.#members.indexOf(member) - 1; at >= 0; at--) {
      const { open, tail } = this.#members[at] ?? { open: undefined, tail: NOTHING };
      if (open === undefined) return tail;
      if (open.hasBegun) return { held: open.held, left: open.held };
    }
    return NOTHING;
  }

  behind(member: GroupMember): Behind {
    let head = "";
    for (let at = this.#members.indexOf(member) + 1; at < this.#members.length; at++) {
      const next = this.#members[at];
      head += next?.head ?? "";
      if (head.length >= MAX_MATCH_CHARS) break;
      if (next?.open?.hasBegun === true) return { head, goesOn: true };
    }
    return { head, goesOn: false };
  }

  /** Ends a text. */
  close(member: GroupMember, tail: Tail): void {
    member.open = undefined;
    member.tail = tail;
    if (this.#members.length > MAX_MEMBERS) this.#joinEnded();
  }

  /** Makes one text of two neighbours that have ended. */
  #joinEnded(): void {
    for (let at = 1; at < this.#members.length; at++) {
      const [first, second] = [this.#members[at - 1], this.#members[at]];
      if (first === undefined || second === undefined || first.open !== undefined || second.open !== undefined)
        continue;
      addToHead(first, second.head);
      first.tail = second.tail;
      this.#members.splice(at, 1);
      return;
    }
  }
}

/** Records text of a member that leaves. */
export function addToHead(member: GroupMember, passed: string): void {
  if (member.head.length < MAX_MATCH_CHARS) member.head = (member.head + passed).slice(0, MAX_MATCH_CHARS);
}

/** Length of the beginning that two texts have in common. */
export function commonStart(first: string, second: string): number {
  let length = 0;
  while (length < first.length && first[length] === second[length]) length++;
  return length;
}

/** Length of the end that two texts have in common. */
export function commonEnd(first: string, second: string): number {
  const most = Math.min(first.length, second.length);
  let length = 0;
  while (length < most && first.at(-1 - length) === second.at(-1 - length)) length++;
  return length;
}
