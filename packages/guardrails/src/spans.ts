/** Set of spans of a text that are to be redacted: disjoint and ascending. Overlapping and adjacent spans are merged. */
export class Spans {
  /** Disjoint and ascending up to the index `#merged`; after it, in the order of addition. */
  #spans: Span[] = [];
  #merged = 0;

  /** Adds a span in amortised constant time, in whatever order spans come. */
  add(start: number, end: number): void {
    const last = this.#spans.at(-1);
    if (last !== undefined && start >= last.start && start <= last.end) {
      if (end > last.end) this.#spans[this.#spans.length - 1] = { start: last.start, end };
      return;
    }
    const isNext = this.#merged === this.#spans.length && (last === undefined || start > last.end);
    this.#spans.push({ start, end });
    if (isNext) this.#merged++;
    else if (this.#spans.length > 2 * this.#merged + MAX_UNMERGED) this.#merge();
  }

  /** Removes and returns the spans before an offset, split at it. Takes time for the remaining spans too. */
  takeBefore(offset: number): Span[] {
    this.#merge();
    const taken: Span[] = [];
    let count = 0;
    for (const span of this.#spans) {
      if (span.start >= offset) break;
      taken.push({ start: span.start, end: Math.min(span.end, offset) });
      if (span.end > offset) break;
      count++;
    }
    if (count > 0) this.#spans = this.#spans.slice(count);
    const [first] = this.#spans;
    if (first !== undefined && first.start < offset) this.#spans[0] = { start: offset, end: first.end };
    this.#merged = this.#spans.length;
    return taken;
  }

  #merge(): void {
    if (this.#merged === this.#spans.length) return;
    const merged: Span[] = [];
    for (const span of this.#spans.toSorted((a, b) => a.start - b.start)) {
      const last = merged.at(-1);
      if (last === undefined || span.start > last.end) merged.push(span);
      else if (span.end > last.end) merged[merged.length - 1] = { start: last.start, end: span.end };
    }
    this.#spans = merged;
    this.#merged = merged.length;
  }
}

/** Maximum number of spans that may wait for a merge. */
const MAX_UNMERGED = 1_000;

export interface Span {
  readonly start: number;
  readonly end: number;
}
