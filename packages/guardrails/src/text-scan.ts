import { foldEscapedStretches, lastEscapedStretchAt, unescape } from "./escapes.ts";
import { foldStretches, isCharacter, sameStretch, type Stretch } from "./fold.ts";
import { FoldedText } from "./folded-text.ts";
import { FormScan, frontierOf } from "./form-scan.ts";
import { GroupScan, type OnPatternMatch, SCAN_STEPS } from "./pattern-group-scan.ts";
import type { TextPattern, TextRules } from "./compile-rules.ts";
import type { Work } from "./work.ts";

/**
 * Scan of one text, which may come in pieces, by all patterns and in each of its forms: the text as it is; its folded form
 * (`fold.ts`), from where that differs; and the folded form with JSON escapes undone (`escapes.ts`), from the first escape on.
 * All matches are reported by their offsets in the text as it is. A text of ASCII characters without escapes is read once.
 *
 * Algorithm: the last stretch of the text (`#open`) may still be changed by what follows: a mark may join its character, or an
 * escape may be incomplete. The text as it is is read at once, the other forms without `#open`. A form begins as a clone of the
 * scans at `#openFrom` (`#scansAtOpen`), so it costs nothing until the forms differ. The open stretch may leave before it is closed
 * if no form can match with it, whatever follows: `#canReleaseOpen` reads it ahead on clones.
 */
export class TextScan<P extends TextPattern> {
  readonly #scans: readonly GroupScan<P>[];
  /** Scans at the offset `#openFrom`; other forms begin as clones of them. */
  #scansAtOpen: readonly GroupScan<P>[];
  #folded: FormScan<P> | undefined;
  #unescaped: FormScan<P> | undefined;
  /** Last stretch, which may continue in the next piece. */
  #open = "";
  /** Offset of `#open` in the text. */
  #openFrom = 0;
  /** True if no match of another form can involve `#open`, unless it continues. */
  #isOpenReleased = false;
  readonly #work: Work;
  readonly #onMatch: OnPatternMatch<P>;

  /** @param onMatch called for each match, with its offsets in the text as it is */
  constructor({ groups }: TextRules<P>, work: Work, onMatch: OnPatternMatch<P>) {
    work.spend(SCAN_STEPS * groups.length);
    this.#scans = groups.map((group) => new GroupScan(group));
    this.#scansAtOpen = groups.map((group) => new GroupScan(group));
    this.#work = work;
    this.#onMatch = onMatch;
  }

  /** Offset at which the earliest match that is not complete may begin. */
  get frontier(): number {
    const raw = frontierOf(this.#scans, this.#openFrom + this.#open.length);
    if (this.#isOpenReleased) return raw;
    const folded = this.#folded?.frontier ?? frontierOf(this.#scansAtOpen, this.#openFrom);
    return Math.min(raw, folded, this.#unescaped?.frontier ?? folded);
  }

  /** Reads the next piece. @returns false if the work is exhausted before its end */
  async read(piece: string): Promise<boolean> {
    const text = this.#open + piece;
    const from = this.#openFrom;
    const openAt = lastEscapedStretchAt(text);
    const closed = text.slice(0, openAt);
    const [folded, unescaped] = this.#formsOf(closed);
    this.#open = text.slice(openAt);
    this.#openFrom = from + openAt;
    // Only reads that pause are awaited, so that a piece of a stream is read without a promise for each step.
    if (this.#folded === undefined) {
      const isAdvanced = this.#advanceScansAtOpen(text, from, openAt);
      if (!(typeof isAdvanced === "boolean" ? isAdvanced : await isAdvanced)) return false;
    }
    const isRead = readAll(this.#scans, text, from, this.#work, this.#onMatch);
    if (!(typeof isRead === "boolean" ? isRead : await isRead)) return false;
    if (this.#folded !== undefined && !(await this.#folded.read(folded, this.#work))) return false;
    if (this.#unescaped !== undefined && !(await this.#unescaped.read(unescaped, this.#work))) return false;
    const isReleased = this.#canReleaseOpen();
    this.#isOpenReleased = typeof isReleased === "boolean" ? isReleased : await isReleased;
    return !this.#work.isExhausted;
  }

  /** Reads the end of the text. */
  end(): void {
    const [folded, unescaped] = this.#formsOf(this.#open);
    for (const scan of this.#scans) scan.end(this.#open, this.#openFrom, this.#work, this.#onMatch);
    this.#folded?.end(folded, this.#work);
    this.#unescaped?.end(unescaped, this.#work);
  }

  /** Stretches that the other forms read for a part of the text. Creates each form once it differs from the text, or from another form. */
  #formsOf(closed: string): readonly [folded: readonly Stretch[], unescaped: readonly Stretch[]] {
    const folded = foldStretches(closed, this.#work);
    const unescaped = foldEscapedStretches(closed, this.#work);
    if (unescaped !== undefined) this.#unescaped ??= this.#folded?.clone(this.#onMatch) ?? this.#beginForm();
    if (folded !== undefined) this.#folded ??= this.#beginForm();
    const rest = folded ?? [sameStretch(closed)];
    return [rest, unescaped ?? rest];
  }

  #beginForm(): FormScan<P> {
    const scans = this.#scansAtOpen.map((scan) => scan.clone());
    return new FormScan(scans, new FoldedText(this.#openFrom), this.#onMatch);
  }

  /** Advances `#scansAtOpen` to `until` in the text: by reading once more, or as clones of the scans before they read on. */
  #advanceScansAtOpen(text: string, from: number, until: number): boolean | Promise<boolean> {
    if (this.#scans.every(({ offset }) => offset > from + until)) {
      return readAll(this.#scansAtOpen, text, from, this.#work, () => false, until);
    }
    const isRead = readAll(this.#scans, text, from, this.#work, this.#onMatch, until);
    return typeof isRead === "boolean"
      ? this.#cloneScansAtOpen(isRead)
      : isRead.then((all) => this.#cloneScansAtOpen(all));
  }

  #cloneScansAtOpen(isRead: boolean): boolean {
    if (isRead) this.#scansAtOpen = this.#scans.map((scan) => scan.clone());
    return isRead;
  }

  /** True if no other form can match with `#open`, unless it continues. Reads it ahead on clones. */
  #canReleaseOpen(): boolean | Promise<boolean> {
    const unescaped = unescape(this.#open);
    if (unescaped === undefined || !isCharacter(unescaped)) return false;
    const scans = this.#folded?.scans ?? this.#scansAtOpen;
    const isPlain = unescaped === this.#open;
    if (!isPlain && this.#folded !== undefined) return false;
    if (!isPlain) return this.#canRelease(this.#unescaped?.scans ?? scans, unescaped, false);
    const canRelease = this.#canRelease(scans, unescaped, this.#folded === undefined);
    const { scans: unescapedScans } = this.#unescaped ?? {};
    if (unescapedScans === undefined) return canRelease;
    return Promise.resolve(canRelease).then((can) => can && this.#canRelease(unescapedScans, unescaped, false));
  }

  /** @param isRead true if the unchanged character has been read from the position of these scans */
  #canRelease(scans: readonly GroupScan<P>[], character: string, isRead: boolean): boolean | Promise<boolean> {
    if (scans.some((scan) => scan.acceptsCompositionOf(character, this.#work))) return false;
    const stretches = foldStretches(character, this.#work);
    if (isRead && stretches === undefined) return true;
    return this.#matchesNothing(scans, stretches?.map(({ folded }) => folded).join("") ?? character);
  }

  /** Reads a text ahead. @returns true if it neither completes nor begins a match */
  async #matchesNothing(scans: readonly GroupScan<P>[], text: string): Promise<boolean> {
    let hasMatched = false;
    for (const scan of scans) {
      const ahead = scan.clone();
      await ahead.read(text, scan.offset, this.#work, () => (hasMatched = true));
      if (hasMatched || ahead.frontier < ahead.offset) return false;
    }
    return true;
  }
}

/** True if all forms of a text are the same: ASCII without a control character or an escape. */
export function hasOneForm(text: string): boolean {
  return ONE_FORM.test(text);
}

const ONE_FORM = /^[\t-\r\x20-\x5b\x5d-\x7e]*$/;

function readAll<P extends TextPattern>(
  scans: readonly GroupScan<P>[],
  text: string,
  from: number,
  work: Work,
  onMatch: OnPatternMatch<P>,
  until?: number,
): boolean | Promise<boolean> {
  for (const [index, scan] of scans.entries()) {
    const isRead = scan.read(text, from, work, onMatch, until);
    if (isRead === false) return false;
    if (isRead === true) continue;
    const rest = scans.slice(index + 1);
    return isRead.then((isWhole) => isWhole && readAll(rest, text, from, work, onMatch, until));
  }
  return true;
}
