import { type Found, type FoundMatch, DfaCursor } from "./lazy-dfa.ts";
import { isHighSurrogate } from "./fold.ts";
import type { PatternGroup, TextPattern } from "./rules.ts";
import { MAX_MATCH_CHARS } from "./spec.ts";
import type { Work } from "./work.ts";

/** Cost of beginning a pass, in steps of `Work`: short texts are not free. */
export const STEPS_OF_A_PASS = 100;

/** One automaton's way through a text that comes in pieces. */
export class GroupScan<P extends TextPattern> {
  readonly #group: PatternGroup<P>;
  readonly #reader: DfaCursor;
  /** How much of the text is read. */
  #place: number;

  constructor(group: PatternGroup<P>, reader: DfaCursor = new DfaCursor(group.dfa), place = 0) {
    this.#group = group;
    this.#reader = reader;
    this.#place = place;
  }

  /** Another pass that stands at the same place, and goes on by itself. */
  clone(): GroupScan<P> {
    return new GroupScan(this.#group, this.#reader.clone(), this.#place);
  }

  /** How much is read: all but half a surrogate pair at the end. */
  get place(): number {
    return this.#place;
  }

  /** Where a match may begin that is not whole yet. */
  get frontier(): number {
    return this.#reader.earliest ?? this.#place;
  }

  /** True if a character that a mark may still make of this one is, or may become, part of a match. */
  takesCompositionOf(character: string, work: Work): boolean {
    return this.#reader.takesCompositionOf(character, work);
  }

  /**
   * Reads on, letting others have their turn in between.
   *
   * @param text from `from` on, which is not beyond what is read
   * @param until index in `text` up to which it is read
   * @returns false if the work is used up before the end
   */
  async read(
    text: string,
    from: number,
    work: Work,
    found: FoundPattern<P>,
    until: number = text.length,
  ): Promise<boolean> {
    if (this.#place >= from + until) return true;
    const take = this.#taking(found);
    for (;;) {
      const read = this.#reader.read(text, this.#place - from, until, from, work, take);
      this.#place = from + read;
      if (work.isExhausted) return false;
      if (read === until || (read === until - 1 && isHighSurrogate(text, read))) return true;
      await work.pause();
    }
  }

  /** Reads the rest of the text, and its end. */
  end(text: string, from: number, work: Work, found: FoundPattern<P>): void {
    this.#reader.end(text.slice(this.#place - from), this.#place, work, this.#taking(found));
    this.#place = from + text.length;
  }

  #taking(found: FoundPattern<P>): Found {
    return (match) => {
      const pattern = this.#group.patterns[match.pattern];
      if (pattern === undefined) return false;
      return found(pattern, { ...match, start: Math.max(match.start, match.end - MAX_MATCH_CHARS) });
    };
  }
}

/** Called for each match; of a longer one, for its last `MAX_MATCH_CHARS` characters. @returns whether to stop: then the rest of the text is of no interest */
export type FoundPattern<P> = (pattern: P, match: Omit<FoundMatch, "pattern">) => boolean;
