import type { FoundMatch } from "./lazy-dfa.ts";
import { isHighSurrogate, isLowSurrogate } from "./fold.ts";
import { TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import { Spans } from "./spans.ts";
import { ProseRedactionWriter, type RedactionWriter } from "./redaction-writer.ts";
import { RedactionCounter } from "./redaction-counter.ts";
import type { Work } from "./work.ts";

/** Why a text must not pass. */
export type BlockReason<P> =
  | { readonly reason: "match"; readonly pattern: P }
  /** The work that a request may take is used up before all of its text was judged. */
  | { readonly reason: "too_much_work" };

/**
 * Lets a text pass piece by piece, without what must not: however it is cut into pieces, what passes is the same, and the
 * same as for the whole. Only text that may still become part of a match is held back, never more than `MAX_MATCH_CHARS` of its
 * folded form.
 *
 * What is redacted: at every place of the text and of its folded form (`fold.ts`), what RE2 matches there (leftmost-first), overlapping or not. That covers all that RE2's own
 * replace-all would take out. What touches is one redaction (`redacted-text.ts`).
 */
export class TextFilter<P extends TextPattern> {
  readonly #work: Work;
  readonly #reading: TextScan<P>;
  readonly #redactions = new Spans();
  readonly #tallies = new Map<P, RedactionCounter>();
  /** What has not left yet, and where it begins. */
  #held = "";
  #place = 0;
  readonly #redacted: RedactionWriter;
  #hit: { readonly seenAt: number; readonly pattern: P } | undefined;
  #blocked: BlockReason<P> | undefined;

  /** @param redacted the form in which redactions are shown */
  constructor(rules: TextRules<P>, work: Work, redacted: RedactionWriter = new ProseRedactionWriter()) {
    this.#work = work;
    this.#redacted = redacted;
    this.#reading = new TextScan(rules, work, (pattern, match) => this.#take(pattern, match));
  }

  /** Once it is set nothing leaves any more. */
  get blocked(): BlockReason<P> | undefined {
    return this.#blocked;
  }

  /** How many stretches of what has left each pattern redacted; those of several patterns may overlap. */
  get redactions(): readonly Redactions<P>[] {
    return [...this.#tallies].map(([pattern, { count }]) => ({ pattern, count })).filter(({ count }) => count > 0);
  }

  /** @returns what may leave now; empty once blocked */
  async push(text: string): Promise<string> {
    if (text.length <= PIECE_CHARS) return this.#pushPiece(text);
    const parts: string[] = [];
    for (const piece of piecesOf(text)) parts.push(await this.#pushPiece(piece));
    return parts.join("");
  }

  /** The text is over, or will not go on. @returns the rest that may leave */
  end(): string {
    if (this.#blocked !== undefined) return "";
    this.#reading.end();
    if (this.#isBlocked()) return "";
    return this.#release(this.#place + this.#held.length) + this.#redacted.end();
  }

  async #pushPiece(text: string): Promise<string> {
    if (this.#blocked !== undefined) return "";
    this.#held += text;
    const judged = await this.#reading.read(text);
    if (this.#work.isPauseDue) await this.#work.pause();
    if (judged && this.#isBlocked()) return "";
    const left = judged ? this.#release(this.#frontier()) : "";
    if (judged && this.#held.length <= MAX_HELD_CHARS) return left;
    this.#blocked = { reason: "too_much_work" };
    return "";
  }

  #isBlocked(): boolean {
    if (this.#hit !== undefined) this.#blocked = { reason: "match", pattern: this.#hit.pattern };
    return this.#hit !== undefined;
  }

  /** Of several that block, the one that was to be seen first. @returns whether it blocks */
  #take(pattern: P, { start, end, seenAt }: Omit<FoundMatch, "pattern">): boolean {
    if (pattern.action === "redact") {
      // A folded form may show once more what has been redacted and has left.
      const from = this.#wholeCharacter(Math.max(start, this.#place));
      if (from >= end) return false;
      this.#redactions.add(from, end);
      this.#tallyOf(pattern).add(from, end);
      return false;
    }
    if (this.#hit === undefined || seenAt < this.#hit.seenAt) this.#hit = { seenAt, pattern };
    return true;
  }

  #tallyOf(pattern: P): RedactionCounter {
    const known = this.#tallies.get(pattern);
    if (known !== undefined) return known;
    const tally = new RedactionCounter();
    this.#tallies.set(pattern, tally);
    return tally;
  }

  /** Up to where no match can begin any more that would still have to be redacted. */
  #frontier(): number {
    return Math.max(this.#place, this.#wholeCharacter(this.#reading.frontier));
  }

  /** The place itself, or the one before it if it lies within a surrogate pair. */
  #wholeCharacter(place: number): number {
    const at = place - this.#place;
    return isLowSurrogate(this.#held, at) && at > 0 && isHighSurrogate(this.#held, at - 1) ? place - 1 : place;
  }

  #release(until: number): string {
    const base = this.#place;
    const text = this.#held.slice(0, until - base);
    this.#held = this.#held.slice(until - base);
    this.#place = until;
    if (text === "") return "";
    for (const tally of this.#tallies.values()) tally.countBefore(until);
    const parts: string[] = [];
    let copied = base;
    for (const { start, end } of this.#redactions.takeBefore(until)) {
      parts.push(this.#redacted.keep(text.slice(copied - base, start - base)));
      parts.push(this.#redacted.redact(text.slice(start - base, end - base)));
      copied = end;
    }
    parts.push(this.#redacted.keep(text.slice(copied - base)));
    return parts.join("");
  }
}

/** Length of what is judged at one go, which bounds the effort of folding it and of putting it together again. */
const PIECE_CHARS = 16_384;

/**
 * Length of what is held back at most: characters that fold to nothing are held with those between which they stand. A text that
 * needs more cannot be judged.
 */
export const MAX_HELD_CHARS = 65_536;

export function* piecesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += PIECE_CHARS) yield text.slice(at, at + PIECE_CHARS);
}

/** What a pattern took out of a text. */
export interface Redactions<P> {
  readonly pattern: P;
  /** What touches is one. At least 1. */
  readonly count: number;
}

export interface TextVerdict<P> {
  /** What may pass; meaningless if blocked. */
  readonly text: string;
  readonly redactions: readonly Redactions<P>[];
  readonly blocked: BlockReason<P> | undefined;
}

/** Judges a text that is there as a whole. */
export async function judgeText<P extends TextPattern>(
  rules: TextRules<P>,
  text: string,
  work: Work,
  redacted?: RedactionWriter,
): Promise<TextVerdict<P>> {
  const filter = new TextFilter(rules, work, redacted);
  const passed = await filter.push(text);
  const rest = filter.end();
  return { text: passed + rest, redactions: filter.redactions, blocked: filter.blocked };
}
