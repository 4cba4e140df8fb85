import { LAST_RUNE, type Program } from "./program.ts";

/** What stands beside a place in the text, as far as conditions ask for it. */
export type Neighbour = typeof EDGE | typeof NEWLINE | typeof WORD | typeof OTHER;
export const EDGE = 0;
export const NEWLINE = 1;
export const WORD = 2;
export const OTHER = 3;

const LATIN = 256;
/** 0-9 A-Z _ a-z: a word is ASCII in RE2. */
const WORD_RANGES = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];

/**
 * Code points that no instruction of some programs tells apart are one class, so that an automaton has a few columns instead of
 * a million. Classes are numbered from 0; `count` itself stands for the end of the text.
 */
export class CharacterClasses {
  readonly count: number;
  /** Where each class but the first begins. */
  readonly #begins: Int32Array;
  readonly #latin: Uint16Array;
  readonly #neighbours: readonly Neighbour[];

  constructor(programs: readonly Program[]) {
    const instructions = programs.flatMap(({ instructions }) => instructions);
    const usesConditions = instructions.some(({ kind }) => kind === "assert");
    const begins = new Set<number>();
    const addRanges = (ranges: ArrayLike<number>): void => {
      for (let at = 0; at + 1 < ranges.length; at += 2) begins.add(ranges[at] ?? 0).add((ranges[at + 1] ?? 0) + 1);
    };
    const distinct = new Set(instructions.map((each) => (each.kind === "rune" ? each.ranges : [])));
    for (const ranges of distinct) addRanges(ranges);
    if (usesConditions) addRanges([0x0a, 0x0a, ...WORD_RANGES]);
    begins.delete(0);
    begins.delete(LAST_RUNE + 1);
    this.#begins = Int32Array.from(begins).toSorted();
    this.count = this.#begins.length + 1;
    this.#latin = Uint16Array.from({ length: LATIN }, (_, rune) => this.#search(rune));
    // Where nobody asks, all characters are alike, and so are the states behind them.
    const neighbours = Array.from({ length: this.count }, (_, each) => neighbourOf(this.sampleOf(each)));
    this.#neighbours = [...(usesConditions ? neighbours : neighbours.map(() => OTHER as Neighbour)), EDGE];
  }

  classOf(rune: number): number {
    return rune < LATIN ? (this.#latin[rune] ?? 0) : this.#search(rune);
  }

  /** A code point of the class. */
  sampleOf(each: number): number {
    return this.#begins[each - 1] ?? 0;
  }

  neighbourOf(each: number): Neighbour {
    return this.#neighbours[each] ?? OTHER;
  }

  #search(rune: number): number {
    let low = 0;
    let high = this.#begins.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#begins[middle] ?? 0) <= rune) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

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
