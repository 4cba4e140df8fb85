import { Spans } from "./spans.ts";

/** Counter of the stretches of a text that one pattern redacts. Adjacent stretches count as one, in whatever pieces they are counted. */
export class RedactionCounter {
  readonly #spans = new Spans();
  #count = 0;
  /** End of the last stretch that was counted. */
  #countedUntil = -1;

  get count(): number {
    return this.#count;
  }

  add(start: number, end: number): void {
    this.#spans.add(start, end);
  }

  /** Counts the stretches that begin before an offset; a stretch that continues after it is not counted again. */
  countBefore(offset: number): void {
    for (const { start, end } of this.#spans.takeBefore(offset)) {
      if (start !== this.#countedUntil) this.#count++;
      this.#countedUntil = end;
    }
  }
}
