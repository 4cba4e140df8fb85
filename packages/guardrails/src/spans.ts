/** Places in a text that are to be redacted: disjoint, by rising place. What touches is one. */
export class Spans {
  /** Disjoint and by rising place up to `#merged`; behind that in the order in which they were added. */
  #spans: Span[] = [];
  #merged = 0;

  /** Takes constant time on average, in whatever order spans are added. */
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

  /** Takes out what lies before a place, cutting what lies across it. Takes time for what is left as well. */
  takeBefore(place: number): Span[] {
    this.#merge();
    const taken: Span[] = [];
    let count = 0;
    for (const span of this.#spans) {
      if (span.start >= place) break;
      taken.push({ start: span.start, end: Math.min(span.end, place) });
      if (span.end > place) break;
      count++;
    }
    if (count > 0) this.#spans = this.#spans.slice(count);
    const [first] = this.#spans;
    if (first !== undefined && first.start < place) this.#spans[0] = { start: place, end: first.end };
    this.#merged = this.#spans.length;
    return taken;
  }

  #merge(): void {
    if (this.#merged === this.#spans.length) return;
    const merged: Span[] = [];
    for (const span of this.#spans.toSorted((one, other) => one.start - other.start)) {
      const last = merged.at(-1);
      if (last === undefined || span.start > last.end) merged.push(span);
      else if (span.end > last.end) merged[merged.length - 1] = { start: last.start, end: span.end };
    }
    this.#spans = merged;
    this.#merged = merged.length;
  }
}

const MAX_UNMERGED = 1_000;

export interface Span {
  readonly start: number;
  readonly end: number;
}
