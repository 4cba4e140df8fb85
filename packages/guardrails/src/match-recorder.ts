import { TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import { piecesOf } from "./text-filter.ts";
import type { Work } from "./work.ts";

/** Notes which patterns a text matches, and lets all of it pass. */
export class MatchRecorder<P extends TextPattern> {
  readonly #work: Work;
  readonly #reading: TextScan<P>;
  readonly #matched = new Set<P>();

  constructor(rules: TextRules<P>, work: Work) {
    this.#work = work;
    this.#reading = new TextScan(rules, work, (pattern) => {
      this.#matched.add(pattern);
      return false;
    });
  }

  /** All that it would have blocked or redacted so far. */
  get matched(): ReadonlySet<P> {
    return this.#matched;
  }

  /** Watches no further once the work is used up: nobody depends on it. */
  async push(text: string): Promise<void> {
    for (const piece of piecesOf(text)) {
      if (this.#work.isExhausted || !(await this.#reading.read(piece))) return;
      if (this.#work.isPauseDue) await this.#work.pause();
    }
  }

  end(): void {
    if (!this.#work.isExhausted) this.#reading.end();
  }
}
