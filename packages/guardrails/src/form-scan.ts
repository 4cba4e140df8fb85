import type { Stretch } from "./fold.ts";
import type { FoldedText } from "./folded-text.ts";
import type { GroupScan, OnPatternMatch } from "./pattern-group-scan.ts";
import type { TextPattern } from "./compile-rules.ts";
import { MAX_MATCH_CHARS } from "./spec.ts";
import type { Work } from "./work.ts";

/** Scan of another form of a text, e.g. its folded one, by all patterns, from the point at which that form differs from the text. */
export class FormScan<P extends TextPattern> {
  readonly #scans: readonly GroupScan<P>[];
  readonly #folded: FoldedText;
  readonly #onMatch: OnPatternMatch<P>;

  /**
   * @param scans scans at the end of `folded`
   * @param onMatch called for each match, with its offsets in the original text
   */
  constructor(scans: readonly GroupScan<P>[], folded: FoldedText, onMatch: OnPatternMatch<P>) {
    this.#scans = scans;
    this.#folded = folded;
    this.#onMatch = (pattern, { start, end, decidedAt }) => {
      const [originalStart, originalEnd] = [folded.originalOffsetOf(start), folded.originalEndOf(end)];
      const match = { start: originalStart, end: originalEnd, decidedAt: folded.originalOffsetOf(decidedAt) };
      return onMatch(pattern, match);
    };
  }

  /** Creates an independent scan of a form that is identical so far. */
  clone(onMatch: OnPatternMatch<P>): FormScan<P> {
    return new FormScan(
      this.#scans.map((scan) => scan.clone()),
      this.#folded.clone(),
      onMatch,
    );
  }

  get scans(): readonly GroupScan<P>[] {
    return this.#scans;
  }

  /** Offset in the original text at which the earliest match that is not complete may begin. */
  get frontier(): number {
    return this.#folded.originalOffsetOf(frontierOf(this.#scans, this.#folded.length));
  }

  /** @returns false if the work is exhausted before the end */
  async read(stretches: readonly Stretch[], work: Work): Promise<boolean> {
    const from = this.#folded.length;
    const text = this.#folded.push(stretches);
    for (const scan of this.#scans) if (!(await scan.read(text, from, work, this.#onMatch))) return false;
    this.#folded.forget(this.#folded.length - 2 * MAX_MATCH_CHARS);
    return true;
  }

  end(stretches: readonly Stretch[], work: Work): void {
    const from = this.#folded.length;
    const text = this.#folded.push(stretches);
    for (const scan of this.#scans) scan.end(text, from, work, this.#onMatch);
  }
}

/**
 * Offset at which the earliest match that is not complete may begin; not more than `MAX_MATCH_CHARS` before `readOffset`.
 *
 * @param readOffset offset up to which the text has been read
 */
export function frontierOf(scans: readonly GroupScan<TextPattern>[], readOffset: number): number {
  return Math.max(Math.min(readOffset, ...scans.map(({ frontier }) => frontier)), readOffset - MAX_MATCH_CHARS);
}
