import { foldEscapedStretches, lastEscapedStretchAt, unescape } from "./escapes.ts";
import { foldStretches, isCharacter, sameStretch, type Stretch } from "./fold.ts";
import { FoldedText } from "./folded-text.ts";
import { FormScan, frontierOf } from "./form-scan.ts";
import { type FoundPattern, GroupScan, STEPS_OF_A_PASS } from "./group-scan.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import type { Work } from "./work.ts";

/**
 * The way of all patterns through one text that comes in pieces, in each of its forms: the text as it is; from where that differs,
 * its folded form (`fold.ts`); and from its first JSON escape on, the folded form with escapes undone (`escapes.ts`). Matches of
 * all are told by their places in the text as it is. A text of ASCII characters without escapes is read once.
 */
export class TextScan<P extends TextPattern> {
  readonly #passes: readonly GroupScan<P>[];
  /** Passes that stand where `#open` starts: other forms begin with them. */
  #behind: readonly GroupScan<P>[];
  #folded: FormScan<P> | undefined;
  #unescaped: FormScan<P> | undefined;
  /** The last stretch, which may go on in the next piece, and where it starts. */
  #open = "";
  #openFrom = 0;
  /** True if no match of another form can involve `#open`, should it not go on. */
  #isOpenFree = false;
  readonly #work: Work;
  readonly #found: FoundPattern<P>;

  /** @param found called for each match, by its place in the text as it is */
  constructor({ groups }: TextRules<P>, work: Work, found: FoundPattern<P>) {
    work.spend(STEPS_OF_A_PASS * groups.length);
    this.#passes = groups.map((group) => new GroupScan(group));
    this.#behind = groups.map((group) => new GroupScan(group));
    this.#work = work;
    this.#found = found;
  }

  /** Where a match may begin that is not whole yet. */
  get frontier(): number {
    const raw = frontierOf(this.#passes, this.#openFrom + this.#open.length);
    if (this.#isOpenFree) return raw;
    const folded = this.#folded?.frontier ?? frontierOf(this.#behind, this.#openFrom);
    return Math.min(raw, folded, this.#unescaped?.frontier ?? folded);
  }

  /** @returns false if the work is used up before the end */
  async read(piece: string): Promise<boolean> {
    const text = this.#open + piece;
    const from = this.#openFrom;
    const openAt = lastEscapedStretchAt(text);
    const closed = text.slice(0, openAt);
    const [folded, unescaped] = this.#formsFor(closed);
    this.#open = text.slice(openAt);
    this.#openFrom = from + openAt;
    if (this.#folded === undefined && !(await this.#follow(text, from, openAt))) return false;
    if (!(await readAll(this.#passes, text, from, this.#work, this.#found))) return false;
    if (!((await this.#folded?.read(folded, this.#work)) ?? true)) return false;
    if (!((await this.#unescaped?.read(unescaped, this.#work)) ?? true)) return false;
    this.#isOpenFree = await this.#mayOpenLeave();
    return !this.#work.isExhausted;
  }

  /** Reads the end of the text. */
  end(): void {
    const [folded, unescaped] = this.#formsFor(this.#open);
    for (const pass of this.#passes) pass.end(this.#open, this.#openFrom, this.#work, this.#found);
    this.#folded?.end(folded, this.#work);
    this.#unescaped?.end(unescaped, this.#work);
  }

  /** Stretches that the other forms read for a part of the text; begins each form that differs from the text, or from another. */
  #formsFor(closed: string): readonly [folded: readonly Stretch[], unescaped: readonly Stretch[]] {
    const folded = foldStretches(closed, this.#work);
    const unescaped = foldEscapedStretches(closed, this.#work);
    if (unescaped !== undefined) this.#unescaped ??= this.#folded?.clone(this.#found) ?? this.#newForm();
    if (folded !== undefined) this.#folded ??= this.#newForm();
    const rest = folded ?? [sameStretch(closed)];
    return [rest, unescaped ?? rest];
  }

  #newForm(): FormScan<P> {
    const passes = this.#behind.map((pass) => pass.clone());
    return new FormScan(passes, new FoldedText(this.#openFrom), this.#found);
  }

  /** Has `#behind` stand at `until` in the text: that has been read already, or is to be read anyway. */
  async #follow(text: string, from: number, until: number): Promise<boolean> {
    if (this.#passes.every(({ place }) => place > from + until)) {
      return readAll(this.#behind, text, from, this.#work, () => false, until);
    }
    if (!(await readAll(this.#passes, text, from, this.#work, this.#found, until))) return false;
    this.#behind = this.#passes.map((pass) => pass.clone());
    return true;
  }

  /** Reads `#open` ahead, to know whether the other forms have no use for it. */
  async #mayOpenLeave(): Promise<boolean> {
    const unescaped = unescape(this.#open);
    if (unescaped === undefined || !isCharacter(unescaped)) return false;
    const passes = this.#folded?.passes ?? this.#behind;
    const isPlain = unescaped === this.#open;
    if (!isPlain && this.#folded !== undefined) return false;
    if (isPlain && !(await this.#isFree(passes, unescaped, this.#folded === undefined))) return false;
    if (isPlain && this.#unescaped === undefined) return true;
    return this.#isFree(this.#unescaped?.passes ?? passes, unescaped, false);
  }

  /** @param isRead whether the character has been read as it is where these passes stand */
  async #isFree(passes: readonly GroupScan<P>[], character: string, isRead: boolean): Promise<boolean> {
    if (passes.some((pass) => pass.takesCompositionOf(character, this.#work))) return false;
    const stretches = foldStretches(character, this.#work);
    if (isRead && stretches === undefined) return true;
    const text = stretches?.map(({ folded }) => folded).join("") ?? character;
    let matched = false;
    for (const pass of passes) {
      const ahead = pass.clone();
      await ahead.read(text, pass.place, this.#work, () => (matched = true));
      if (matched || ahead.frontier < ahead.place) return false;
    }
    return true;
  }
}

async function readAll<P extends TextPattern>(
  passes: readonly GroupScan<P>[],
  text: string,
  from: number,
  work: Work,
  found: FoundPattern<P>,
  until?: number,
): Promise<boolean> {
  for (const pass of passes) if (!(await pass.read(text, from, work, found, until))) return false;
  return true;
}
