import { isHighSurrogate } from "./fold.ts";
import { DfaCursor, type Match, type OnMatch } from "./lazy-dfa.ts";
import type { PatternGroup, TextPattern } from "./compile-rules.ts";
import { MAX_MATCH_CHARS } from "./spec.ts";
import type { Work } from "./work.ts";

/** Cost of starting a scan, in steps of `Work`, so that short texts are not free. */
export const SCAN_STEPS = 100;

/**
 * Scan of a text by one group of patterns: a resumable search with the group's lazy DFA. The text may arrive in pieces. Matches are the
 * same however it is cut, because only the state of the search is kept between pieces.
 */
export class GroupScan<P extends TextPattern> {
  readonly #group: PatternGroup<P>;
  readonly #cursor: DfaCursor;
  #offset: number;

  constructor(group: PatternGroup<P>, cursor: DfaCursor = new DfaCursor(group.dfa), offset = 0) {
    this.#group = group;
    this.#cursor = cursor;
    this.#offset = offset;
  }

  /** Creates an independent scan at the same offset. */
  clone(): GroupScan<P> {
    return new GroupScan(this.#group, this.#cursor.clone(), this.#offset);
  }

  /** Offset up to which the text has been read: everything but half a surrogate pair at the end. */
  get offset(): number {
    return this.#offset;
  }

  /** Offset at which the earliest match that is not complete may begin. */
  get frontier(): number {
    return this.#cursor.earliestStart ?? this.#offset;
  }

  /** True if a character that this one composes with a following mark is part of a match, or can become so. */
  acceptsCompositionOf(character: string, work: Work): boolean {
    return this.#cursor.acceptsCompositionOf(character, work);
  }

  /**
   * Reads on, with pauses for other work. Almost all texts need no pause and are read in this turn.
   *
   * @param text text from the offset `from` on, which is not beyond the offset read so far
   * @param until index in `text` up to which it is read
   * @returns false if the work is exhausted before the end
   */
  read(
    text: string,
    from: number,
    work: Work,
    onMatch: OnPatternMatch<P>,
    until: number = text.length,
  ): boolean | Promise<boolean> {
    const end = this.readSlice(text, from, work, onMatch, until);
    return end === "paused" ? this.#readAfterPause(text, from, work, onMatch, until) : end === "read";
  }

  async #readAfterPause(
    text: string,
    from: number,
    work: Work,
    onMatch: OnPatternMatch<P>,
    until: number,
  ): Promise<boolean> {
    await work.pause();
    return this.read(text, from, work, onMatch, until);
  }

  /** Reads on as `read` does, but at most until a pause is due. */
  readSlice(
    text: string,
    from: number,
    work: Work,
    onMatch: OnPatternMatch<P>,
    until: number = text.length,
  ): "read" | "exhausted" | "paused" {
    if (this.#offset >= from + until) return "read";
    const read = this.#cursor.read(text, this.#offset - from, until, from, work, this.#groupListener(onMatch));
    this.#offset = from + read;
    if (work.isExhausted) return "exhausted";
    return read === until || (read === until - 1 && isHighSurrogate(text, read)) ? "read" : "paused";
  }

  /** Reads the rest of the text, and its end. */
  end(text: string, from: number, work: Work, onMatch: OnPatternMatch<P>): void {
    this.#cursor.end(text.slice(this.#offset - from), this.#offset, work, this.#groupListener(onMatch));
    this.#offset = from + text.length;
  }

  #groupListener(onMatch: OnPatternMatch<P>): OnMatch {
    return (match) => {
      const pattern = this.#group.patterns[match.pattern];
      if (pattern === undefined) return false;
      return onMatch(pattern, { ...match, start: Math.max(match.start, match.end - MAX_MATCH_CHARS) });
    };
  }
}

/** Called for each match, or for its last `MAX_MATCH_CHARS` characters if it is longer. @returns true to stop the search permanently */
export type OnPatternMatch<P> = (pattern: P, match: Omit<Match, "pattern">) => boolean;
