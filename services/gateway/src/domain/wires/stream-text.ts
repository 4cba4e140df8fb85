import { REDACTED, type TextFilter } from "@routeplane/guardrails";
import type { GuardPattern } from "../guardrails/guard.ts";
import { type Behind, commonEnd, commonStart, type GroupMember, type StreamTextGroup } from "./stream-text-group.ts";
import type { StreamPiece } from "./stream-pieces.ts";

/** Text of the answer that arrives in pieces. */
export class OpenText {
  /** Last piece of the text. */
  last: StreamPiece;
  readonly filter: TextFilter<GuardPattern> | undefined;
  /** Filter that reads this text alone, in front of the filter that has read the end of the text before it; undefined if there is none. */
  own: TextFilter<GuardPattern> | undefined;
  /** End of the text before this one that the filter has read, as it has left already. */
  left = "";
  hasBegun = false;
  /** The text among those of its group, and the group; undefined for a text that is read by itself. */
  grouped: { readonly group: StreamTextGroup; readonly member: GroupMember } | undefined;

  constructor(last: StreamPiece, filter: TextFilter<GuardPattern> | undefined) {
    this.last = last;
    this.filter = filter;
  }

  get held(): string {
    return (this.filter?.held ?? "") + (this.own?.held ?? "");
  }
}

/** End of a text that was read on into the texts after it. */
export interface Ahead {
  /** Text that could have become a match, as it was read. */
  readonly held: string;
  /** Beginning of the texts after it, as it has left. */
  readonly head: string;
  /** Text that may leave once both were read. */
  readonly read: string;
  /** True if a match can still continue in a later text that is open. */
  readonly isUndecided: boolean;
}

/** Removes from text that leaves the part that has left already, up to the start of a match that extends beyond that part. */
export function withoutLeft(text: OpenText, passed: string): string {
  const length = commonStart(text.left, passed);
  text.left = length === passed.length ? text.left.slice(length) : "";
  return passed.slice(length);
}

/** Reads the beginning of the texts after one that ends. @returns undefined if that changes nothing */
export async function readAhead(
  filter: TextFilter<GuardPattern>,
  { head, goesOn }: Behind,
): Promise<Ahead | undefined> {
  const { held } = filter;
  if (held === "" || (head === "" && !goesOn)) return undefined;
  const read = await filter.push(head);
  return { held, head, read, isUndecided: goesOn && filter.held.length > head.length };
}

/**
 * Removes from the end of a text the beginning of the texts after it, from the end of a match that extends into it. An end that can still
 * be the beginning of a match is redacted: the rest of the match could leave at any time.
 */
export function withoutBehind({ read, head, isUndecided }: Ahead, rest: string): string {
  if (isUndecided) return read + REDACTED;
  const passed = read + rest;
  return passed.slice(0, passed.length - commonEnd(passed, head));
}
