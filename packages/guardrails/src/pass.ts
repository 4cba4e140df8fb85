import { type Found, type FoundMatch, Reader } from "./automaton.ts";
import type { PatternGroup, TextPattern } from "./rules.ts";
import type { Work } from "./work.ts";

/** What it takes to begin one, in steps of `Work`: short texts are not free. */
export const STEPS_OF_A_PASS = 100;

/** One automaton's way through a text that comes in pieces. */
export class Pass<P extends TextPattern> {
  readonly #reader: Reader;
  readonly #found: Found;
  /** How much of the text is read. */
  #place = 0;

  /** @param found returns whether to stop: then the rest of the text is of no interest */
  constructor({ patterns, automaton }: PatternGroup<P>, found: (pattern: P, match: FoundMatch) => boolean) {
    this.#reader = new Reader(automaton);
    this.#found = (match) => {
      const pattern = patterns[match.pattern];
      return pattern !== undefined && found(pattern, match);
    };
  }

  /** How much is read: all but half a surrogate pair at the end. */
  get place(): number {
    return this.#place;
  }

  /** Where a match may begin that is not whole yet. */
  get frontier(): number {
    return this.#reader.earliest ?? this.#place;
  }

  /**
   * Reads on, letting others have their turn in between.
   *
   * @param held what is kept of the text, from `heldFrom` on
   * @returns false if the work is used up before the end
   */
  async read(held: string, heldFrom: number, work: Work): Promise<boolean> {
    for (;;) {
      const read = this.#reader.read(held, this.#place - heldFrom, heldFrom, work, this.#found);
      this.#place = heldFrom + read;
      if (work.exhausted) return false;
      if (read === held.length || (read === held.length - 1 && isHighSurrogate(held, read))) return true;
      await work.pause();
    }
  }

  end(held: string, heldFrom: number, work: Work): void {
    this.#reader.end(held.slice(this.#place - heldFrom), this.#place, work, this.#found);
  }
}

export function isHighSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800;
}
