import type { Stretch } from "./fold.ts";

interface Placed extends Stretch {
  /** Where it starts in the folded text, and in the original. */
  readonly at: number;
  readonly place: number;
}

/** The folded form of a text that comes in pieces, as far as places in it are still asked for: which original each stands for. */
export class FoldedText {
  #stretches: Placed[] = [];
  /** Where the next stretch starts in the folded text, and in the original. */
  #at: number;
  #place: number;

  /** @param place up to where the text is its own folded form */
  constructor(place: number) {
    this.#at = place;
    this.#place = place;
  }

  clone(): FoldedText {
    const clone = new FoldedText(this.#place);
    clone.#stretches = [...this.#stretches];
    clone.#at = this.#at;
    return clone;
  }

  get length(): number {
    return this.#at;
  }

  /** @returns the folded text that is added */
  push(stretches: readonly Stretch[]): string {
    for (const stretch of stretches) {
      this.#stretches.push({ ...stretch, at: this.#at, place: this.#place });
      this.#at += stretch.folded.length;
      this.#place += stretch.width;
    }
    return stretches.map(({ folded }) => folded).join("");
  }

  /** Where in the original a place of the folded text is: in front of what it stands for. */
  placeOf(at: number): number {
    if (at >= this.#at) return this.#place;
    const stretch = this.#stretchOver(at);
    if (stretch === undefined) return at;
    return stretch.same ? stretch.place + (at - stretch.at) : stretch.place;
  }

  /** Where in the original the end of a stretch of the folded text is: behind what its last character stands for. */
  endOf(end: number): number {
    const stretch = this.#stretchOver(end - 1);
    if (stretch === undefined) return end;
    return stretch.same ? stretch.place + (end - stretch.at) : stretch.place + stretch.width;
  }

  /** Forgets what lies before a place of the folded text: it is not asked for any more. */
  forget(before: number): void {
    const kept = this.#indexOver(before);
    if (kept > FORGOTTEN_AT_ONCE) this.#stretches = this.#stretches.slice(kept);
  }

  #stretchOver(at: number): Placed | undefined {
    return this.#stretches[this.#indexOver(at)];
  }

  /** Index of the last stretch that starts at or before a place and is not empty; -1 before the first. */
  #indexOver(at: number): number {
    let low = 0;
    let high = this.#stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#stretches[middle]?.at ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

const FORGOTTEN_AT_ONCE = 1_000;
