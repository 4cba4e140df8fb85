import { LAST_RUNE, type Program } from "./program.ts";

/** Kind of the character on one side of a boundary, as far as empty-width assertions distinguish it; `EDGE` at the ends of the text. */
export type Neighbour = typeof EDGE | typeof NEWLINE | typeof WORD | typeof OTHER;
export const EDGE = 0;
export const NEWLINE = 1;
export const WORD = 2;
export const OTHER = 3;

const LATIN = 256;
/** Ranges of word characters, which are ASCII in RE2: 0-9 A-Z _ a-z. */
const WORD_RANGES = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];

/**
 * Character classes of a group of programs ("byte classes" of RE2, over code points): code points that no instruction
 * distinguishes are one class, so the transition table has a few columns instead of a million. Classes are numbered from 0; `count`
 * itself stands for the end of the text.
 */
export class CharacterClasses {
  readonly count: number;
  /** First code point of each class but the first, ascending. */
  readonly #firstRunes: Int32Array;
  readonly #latin: Uint16Array;
  readonly #neighbours: readonly Neighbour[];

  constructor(programs: readonly Program[]) {
    const instructions = programs.flatMap(({ instructions }) => instructions);
    const hasAssertions = instructions.some(({ kind }) => kind === "emptyWidth");
    const firstRunes = new Set<number>();
    const addRanges = (ranges: ArrayLike<number>): void => {
      for (let at = 0; at + 1 < ranges.length; at += 2) firstRunes.add(ranges[at] ?? 0).add((ranges[at + 1] ?? 0) + 1);
    };
    const distinct = new Set(
      instructions.map((instruction) => (instruction.kind === "rune" ? instruction.ranges : [])),
    );
    for (const ranges of distinct) addRanges(ranges);
    if (hasAssertions) addRanges([0x0a, 0x0a, ...WORD_RANGES]);
    firstRunes.delete(0);
    firstRunes.delete(LAST_RUNE + 1);
    this.#firstRunes = Int32Array.from(firstRunes).toSorted();
    this.count = this.#firstRunes.length + 1;
    this.#latin = Uint16Array.from({ length: LATIN }, (_, rune) => this.#search(rune));
    // Without assertions all characters count as the same neighbour, so that states do not differ by it.
    const neighbours = Array.from({ length: this.count }, (_, characterClass) =>
      neighbourOf(this.sampleOf(characterClass)),
    );
    this.#neighbours = [...(hasAssertions ? neighbours : neighbours.map(() => OTHER as Neighbour)), EDGE];
  }

  classOf(rune: number): number {
    return rune < LATIN ? (this.#latin[rune] ?? 0) : this.#search(rune);
  }

  /** Returns one code point of the class. */
  sampleOf(characterClass: number): number {
    return this.#firstRunes[characterClass - 1] ?? 0;
  }

  neighbourOf(characterClass: number): Neighbour {
    return this.#neighbours[characterClass] ?? OTHER;
  }

  #search(rune: number): number {
    let low = 0;
    let high = this.#firstRunes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#firstRunes[middle] ?? 0) <= rune) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** True if one of the ranges (pairs of first and last, ascending) includes the code point. */
export function includes(ranges: ArrayLike<number>, rune: number): boolean {
  let low = 0;
  let high = ranges.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rune < (ranges[2 * middle] ?? 0)) high = middle;
    else if (rune > (ranges[2 * middle + 1] ?? 0)) low = middle + 1;
    else return true;
  }
  return false;
}

function neighbourOf(rune: number): Neighbour {
  if (rune === 0x0a) return NEWLINE;
  return includes(WORD_RANGES, rune) ? WORD : OTHER;
}
