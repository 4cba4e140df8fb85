import type { Stretch } from "./fold.ts";
import type { FoldedText } from "./folded-text.ts";
import type { FoundPattern, GroupScan } from "./group-scan.ts";
import type { TextPattern } from "./rules.ts";
import { MAX_MATCH_CHARS } from "./spec.ts";
import type { Work } from "./work.ts";

/** The way of all patterns through another form of a text, e.g. its folded one, from where that differs from the text itself. */
export class FormScan<P extends TextPattern> {
  readonly #passes: readonly GroupScan<P>[];
  readonly #folded: FoldedText;
  readonly #found: FoundPattern<P>;

  /**
   * @param passes stand at the end of `folded`
   * @param found called for each match, by its place in the text itself
   */
  constructor(passes: readonly GroupScan<P>[], folded: FoldedText, found: FoundPattern<P>) {
    this.#passes = passes;
    this.#folded = folded;
    this.#found = (pattern, { start, end, seenAt }) => {
      const [from, to] = [folded.placeOf(start), folded.endOf(end)];
      return found(pattern, { start: from, end: to, seenAt: folded.placeOf(seenAt) });
    };
  }

  /** Another form that reads alike so far. */
  clone(found: FoundPattern<P>): FormScan<P> {
    return new FormScan(
      this.#passes.map((pass) => pass.clone()),
      this.#folded.clone(),
      found,
    );
  }

  get passes(): readonly GroupScan<P>[] {
    return this.#passes;
  }

  /** Where in the text itself a match may begin that is not whole yet. */
  get frontier(): number {
    return this.#folded.placeOf(frontierOf(this.#passes, this.#folded.length));
  }

  /** @returns false if the work is used up before the end */
  async read(stretches: readonly Stretch[], work: Work): Promise<boolean> {
    const from = this.#folded.length;
    const text = this.#folded.push(stretches);
    for (const pass of this.#passes) if (!(await pass.read(text, from, work, this.#found))) return false;
    this.#folded.forget(this.#folded.length - 2 * MAX_MATCH_CHARS);
    return true;
  }

  end(stretches: readonly Stretch[], work: Work): void {
    const from = this.#folded.length;
    const text = this.#folded.push(stretches);
    for (const pass of this.#passes) pass.end(text, from, work, this.#found);
  }
}

/** @param read how much is read */
export function frontierOf(passes: readonly GroupScan<TextPattern>[], read: number): number {
  return Math.max(Math.min(read, ...passes.map(({ frontier }) => frontier)), read - MAX_MATCH_CHARS);
}
