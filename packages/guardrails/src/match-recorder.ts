import { TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./compile-rules.ts";
import { piecesOf } from "./text-filter.ts";
import type { Work } from "./work.ts";

/** Records which patterns a text matches, and lets the whole text pass, for guardrails in shadow mode. */
export class MatchRecorder<P extends TextPattern> {
  readonly #work: Work;
  readonly #scan: TextScan<P>;
  readonly #matched = new Set<P>();

  constructor(rules: TextRules<P>, work: Work) {
    this.#work = work;
    this.#scan = new TextScan(rules, work, (pattern) => {
      this.#matched.add(pattern);
      return false;
    });
  }

  /** Patterns that have matched so far. */
  get matched(): ReadonlySet<P> {
    return this.#matched;
  }

  /** Reads the next piece. Nothing is recorded once the work is exhausted; the verdict does not depend on that. */
  async push(text: string): Promise<void> {
    for (const piece of piecesOf(text)) {
      if (this.#work.isExhausted || !(await this.#scan.read(piece))) return;
      if (this.#work.isPauseDue) await this.#work.pause();
    }
  }

  end(): void {
    if (!this.#work.isExhausted) this.#scan.end();
  }
}
