/** Places in a text that are to be redacted: disjoint, by rising place. What touches is one. */
export class Spans {
  #spans: Span[] = [];

  get first(): Span | undefined {
    return this.#spans[0];
  }

  /** Cheap for spans by rising end. */
  add(start: number, end: number): void {
    const later: Span[] = [];
    let joined = { start, end };
    for (let last = this.#spans.at(-1); last !== undefined && last.end >= start; last = this.#spans.at(-1)) {
      this.#spans.pop();
      if (last.start > joined.end) later.push(last);
      else joined = { start: Math.min(last.start, joined.start), end: Math.max(last.end, joined.end) };
    }
    this.#spans.push(joined);
    for (let next = later.pop(); next !== undefined; next = later.pop()) this.#spans.push(next);
  }

  /** Takes out what lies before a place, cutting what lies across it. */
  takeBefore(place: number): Span[] {
    const taken: Span[] = [];
    let count = 0;
    for (const span of this.#spans) {
      if (span.start >= place) break;
      taken.push({ start: span.start, end: Math.min(span.end, place) });
      if (span.end > place) break;
      count++;
    }
    this.#spans = count === 0 ? this.#spans : this.#spans.slice(count);
    const [first] = this.#spans;
    if (first !== undefined && first.start < place) this.#spans[0] = { start: place, end: first.end };
    return taken;
  }
}

export interface Span {
  readonly start: number;
  readonly end: number;
}
