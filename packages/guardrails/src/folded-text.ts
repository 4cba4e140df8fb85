import type { Stretch } from "./fold.ts";

interface PlacedStretch extends Stretch {
  /** Offset in the folded text. */
  readonly at: number;
  /** Offset in the original. */
  readonly originalAt: number;
}

/** Mapping of offsets in the folded form of a text, which arrives in pieces, to offsets in the original. Old stretches are dropped. */
export class FoldedText {
  #stretches: PlacedStretch[] = [];
  /** Offsets of the next stretch in the folded text and in the original. */
  #at: number;
  #originalAt: number;

  /** @param offset up to which the text is its own folded form */
  constructor(offset: number) {
    this.#at = offset;
    this.#originalAt = offset;
  }

  clone(): FoldedText {
    const clone = new FoldedText(this.#originalAt);
    clone.#stretches = [...this.#stretches];
    clone.#at = this.#at;
    return clone;
  }

  get length(): number {
    return this.#at;
  }

  /** Adds stretches. @returns their folded text */
  push(stretches: readonly Stretch[]): string {
    for (const stretch of stretches) {
      this.#stretches.push({ ...stretch, at: this.#at, originalAt: this.#originalAt });
      this.#at += stretch.folded.length;
      this.#originalAt += stretch.width;
    }
    return stretches.map(({ folded }) => folded).join("");
  }

  /** Offset in the original for an offset in the folded text: the start of the original character. */
  originalOffsetOf(at: number): number {
    if (at >= this.#at) return this.#originalAt;
    const stretch = this.#stretchOver(at);
    if (stretch === undefined) return at;
    return stretch.same ? stretch.originalAt + (at - stretch.at) : stretch.originalAt;
  }

  /** Offset in the original for the end of a match in the folded text: the end of the last original character. */
  originalEndOf(end: number): number {
    const stretch = this.#stretchOver(end - 1);
    if (stretch === undefined) return end;
    return stretch.same ? stretch.originalAt + (end - stretch.at) : stretch.originalAt + stretch.width;
  }

  /** Drops the stretches before an offset in the folded text. Offsets before it can no longer be mapped. */
  forget(before: number): void {
    const kept = this.#indexOver(before);
    if (kept > FORGET_BATCH) this.#stretches = this.#stretches.slice(kept);
  }

  #stretchOver(at: number): PlacedStretch | undefined {
    return this.#stretches[this.#indexOver(at)];
  }

  /** Index of the last stretch that starts at or before an offset and is not empty; -1 before the first. */
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

/** Number of stretches that are dropped together, so that the array is not copied for each. */
const FORGET_BATCH = 1_000;
