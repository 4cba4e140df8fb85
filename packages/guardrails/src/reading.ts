import { FoldedText } from "./folded-text.ts";
import { foldStretches, isCharacter, lastStretchAt, sameStretch, type Stretch } from "./fold.ts";
import { type FoundPattern, Pass, STEPS_OF_A_PASS } from "./pass.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import { MAX_MATCH_CHARS } from "./spec.ts";
import type { Work } from "./work.ts";

/**
 * The way of all patterns through one text that comes in pieces: through the text as it is and, from where the two differ, through
 * its folded form (`fold.ts`). Matches of both are told by their places in the text as it is. A text of ASCII characters is read
 * once.
 */
export class Reading<P extends TextPattern> {
  readonly #passes: readonly Pass<P>[];
  /** Passes that stand where `#open` starts: they go on through the folded form. */
  #behind: readonly Pass<P>[];
  /** The folded form; undefined while it is the text itself. */
  #folded: FoldedText | undefined;
  /** The last stretch, which may go on in the next piece, and where it starts. */
  #open = "";
  #openFrom = 0;
  /** Whether no match of the folded form can have to do with `#open`, if that does not go on. */
  #isOpenFree = false;
  readonly #work: Work;
  readonly #found: FoundPattern<P>;

  /** @param found called for each match, by its place in the text as it is */
  constructor({ groups }: TextRules<P>, work: Work, found: FoundPattern<P>) {
    work.spend(STEPS_OF_A_PASS * groups.length);
    this.#passes = groups.map((group) => new Pass(group));
    this.#behind = groups.map((group) => new Pass(group));
    this.#work = work;
    this.#found = found;
  }

  /** Where a match may begin that is not whole yet. */
  get frontier(): number {
    const read = this.#openFrom + this.#open.length;
    const raw = frontierOf(this.#passes, read);
    if (this.#isOpenFree) return raw;
    const folded = frontierOf(this.#behind, this.#folded?.length ?? this.#openFrom);
    return Math.min(raw, this.#folded?.placeOf(folded) ?? folded);
  }

  /** @returns false if the work is used up before the end */
  async read(piece: string): Promise<boolean> {
    const text = this.#open + piece;
    const from = this.#openFrom;
    const openAt = lastStretchAt(text);
    const closed = text.slice(0, openAt);
    const stretches = foldStretches(closed, this.#work);
    this.#open = text.slice(openAt);
    this.#openFrom = from + openAt;
    if (stretches !== undefined) this.#folded ??= new FoldedText(from);
    const folded = this.#folded;
    if (folded === undefined) {
      if (!(await this.#readRaw(closed, from))) return false;
      if (openAt > 0) this.#behind = this.#passes.map((pass) => pass.clone());
    }
    if (!(await this.#readRaw(text, from))) return false;
    if (folded !== undefined && !(await this.#readFolded(folded, stretches ?? [sameStretch(closed)]))) return false;
    this.#isOpenFree = await this.#mayOpenLeave();
    return !this.#work.exhausted;
  }

  /** Reads the end of the text. */
  end(): void {
    const stretches = foldStretches(this.#open, this.#work);
    for (const pass of this.#passes) pass.end(this.#open, this.#openFrom, this.#work, this.#found);
    if (this.#folded === undefined && stretches === undefined) return;
    const folded = (this.#folded ??= new FoldedText(this.#openFrom));
    const from = folded.length;
    const rest = folded.push(stretches ?? [sameStretch(this.#open)]);
    for (const pass of this.#behind) pass.end(rest, from, this.#work, this.#foundIn(folded));
  }

  async #readRaw(text: string, from: number): Promise<boolean> {
    for (const pass of this.#passes) if (!(await pass.read(text, from, this.#work, this.#found))) return false;
    return true;
  }

  async #readFolded(folded: FoldedText, stretches: readonly Stretch[]): Promise<boolean> {
    const from = folded.length;
    const text = folded.push(stretches);
    const found = this.#foundIn(folded);
    for (const pass of this.#behind) if (!(await pass.read(text, from, this.#work, found))) return false;
    folded.forget(folded.length - 2 * MAX_MATCH_CHARS);
    return true;
  }

  /** Reads `#open` ahead, to know whether the folded form has no use for it. */
  async #mayOpenLeave(): Promise<boolean> {
    const open = this.#open;
    if (!isCharacter(open)) return false;
    if (this.#behind.some((pass) => pass.takesCompositionOf(open, this.#work))) return false;
    const stretches = foldStretches(open, this.#work);
    // The passes through the text have read it.
    if (this.#folded === undefined && stretches === undefined) return true;
    const text = stretches?.map(({ folded }) => folded).join("") ?? open;
    let matched = false;
    for (const pass of this.#behind) {
      const ahead = pass.clone();
      await ahead.read(text, pass.place, this.#work, () => (matched = true));
      if (matched || ahead.frontier < ahead.place) return false;
    }
    return true;
  }

  #foundIn(folded: FoldedText): FoundPattern<P> {
    return (pattern, { start, end, seenAt }) => {
      const from = folded.placeOf(start);
      return this.#found(pattern, { start: from, end: folded.endOf(end), seenAt: folded.placeOf(seenAt) });
    };
  }
}

function frontierOf(passes: readonly Pass<TextPattern>[], read: number): number {
  return Math.max(Math.min(read, ...passes.map(({ frontier }) => frontier)), read - MAX_MATCH_CHARS);
}
