import { Spans } from "./spans.ts";

/** Counts the stretches of a text that a pattern redacts. What touches is one stretch, in whatever pieces it is counted. */
export class RedactionCounter {
  readonly #spans = new Spans();
  #count = 0;
  /** Where the last stretch that was counted ends. */
  #end = -1;

  get count(): number {
    return this.#count;
  }

  add(start: number, end: number): void {
    this.#spans.add(start, end);
  }

  /** Counts what lies before a place; what lies across it is counted once. */
  countBefore(place: number): void {
    for (const { start, end } of this.#spans.takeBefore(place)) {
      if (start !== this.#end) this.#count++;
      this.#end = end;
    }
  }
}
