import type { Match } from "./lazy-dfa.ts";
import { isHighSurrogate, isLowSurrogate } from "./fold.ts";
import { TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./compile-rules.ts";
import { Spans } from "./spans.ts";
import { ProseRedactionWriter, type RedactionWriter } from "./redaction-writer.ts";
import { RedactionCounter } from "./redaction-counter.ts";
import type { Work } from "./work.ts";

/** Reason for which a text must not pass. */
export type BlockReason<P> =
  | { readonly reason: "match"; readonly pattern: P }
  /** The work of the request was exhausted before all of its text was judged. */
  | { readonly reason: "too_much_work" };

/**
 * Filter of one text, which may arrive in pieces: lets it pass, redacts it or blocks it. The output does not depend on how the text is cut.
 * If several patterns block it, which of them is reported can depend on it, because the folded form is read later than the text. Only text
 * that can still become part of a match is held back, never more than `MAX_MATCH_CHARS` of its folded form.
 *
 * Redacts every match of RE2 (leftmost-first) from every start position in the text and in its folded form (`fold.ts`), overlapping or not:
 * a superset of the matches that RE2's own replace-all would replace. Adjacent matches become one redaction (`redaction-writer.ts`).
 */
export class TextFilter<P extends TextPattern> {
  readonly #work: Work;
  readonly #scan: TextScan<P>;
  readonly #redactions = new Spans();
  readonly #counters = new Map<P, RedactionCounter>();
  /** Text that has not been released yet. */
  #held = "";
  /** Offset of `#held` in the text. */
  #heldFrom = 0;
  readonly #writer: RedactionWriter;
  #blockingMatch: { readonly decidedAt: number; readonly pattern: P } | undefined;
  #blocked: BlockReason<P> | undefined;

  /** @param writer writes the redacted text */
  constructor(rules: TextRules<P>, work: Work, writer: RedactionWriter = new ProseRedactionWriter()) {
    this.#work = work;
    this.#writer = writer;
    this.#scan = new TextScan(rules, work, (pattern, match) => this.#onMatch(pattern, match));
  }

  /** Reason for which the text is blocked; undefined while it passes. Nothing is released once it is set. */
  get blocked(): BlockReason<P> | undefined {
    return this.#blocked;
  }

  /** Text that has not been released yet, as it was read. */
  get held(): string {
    return this.#held;
  }

  /** Redactions by each pattern in the released text. Redactions of several patterns may overlap. */
  get redactions(): readonly Redactions<P>[] {
    return [...this.#counters].map(([pattern, { count }]) => ({ pattern, count })).filter(({ count }) => count > 0);
  }

  /** Reads the next piece. @returns the text that is released now; empty once blocked */
  async push(text: string): Promise<string> {
    if (text.length <= PIECE_CHARS) return this.#pushPiece(text);
    const parts: string[] = [];
    for (const piece of piecesOf(text)) parts.push(await this.#pushPiece(piece));
    return parts.join("");
  }

  /** Ends the text, complete or not. @returns the rest, which is released now */
  end(): string {
    if (this.#blocked !== undefined) return "";
    this.#scan.end();
    if (this.#isBlocked()) return "";
    return this.#release(this.#heldFrom + this.#held.length) + this.#writer.end();
  }

  async #pushPiece(text: string): Promise<string> {
    if (this.#blocked !== undefined) return "";
    this.#held += text;
    const isJudged = await this.#scan.read(text);
    if (this.#work.isPauseDue) await this.#work.pause();
    if (isJudged && this.#isBlocked()) return "";
    const released = isJudged ? this.#release(this.#frontier()) : "";
    if (isJudged && this.#held.length <= MAX_HELD_CHARS) return released;
    this.#blocked = { reason: "too_much_work" };
    return "";
  }

  #isBlocked(): boolean {
    if (this.#blockingMatch !== undefined) this.#blocked = { reason: "match", pattern: this.#blockingMatch.pattern };
    return this.#blockingMatch !== undefined;
  }

  /** Records a match. Of several matches that block, the one decided first is kept. @returns true if the pattern blocks */
  #onMatch(pattern: P, { start, end, decidedAt }: Omit<Match, "pattern">): boolean {
    if (pattern.action === "redact") {
      // The folded form may match text that has already been redacted and released.
      const from = this.#characterStart(Math.max(start, this.#heldFrom));
      if (from >= end) return false;
      this.#redactions.add(from, end);
      this.#counterOf(pattern).add(from, end);
      return false;
    }
    if (this.#blockingMatch === undefined || decidedAt < this.#blockingMatch.decidedAt)
      this.#blockingMatch = { decidedAt, pattern };
    return true;
  }

  #counterOf(pattern: P): RedactionCounter {
    const known = this.#counters.get(pattern);
    if (known !== undefined) return known;
    const counter = new RedactionCounter();
    this.#counters.set(pattern, counter);
    return counter;
  }

  /** Offset before which no further match can begin. */
  #frontier(): number {
    return Math.max(this.#heldFrom, this.#characterStart(this.#scan.frontier));
  }

  /** Start of the character at an offset, which may lie within a surrogate pair. */
  #characterStart(offset: number): number {
    const at = offset - this.#heldFrom;
    return isLowSurrogate(this.#held, at) && at > 0 && isHighSurrogate(this.#held, at - 1) ? offset - 1 : offset;
  }

  #release(until: number): string {
    const base = this.#heldFrom;
    const text = this.#held.slice(0, until - base);
    this.#held = this.#held.slice(until - base);
    this.#heldFrom = until;
    if (text === "") return "";
    for (const counter of this.#counters.values()) counter.countBefore(until);
    const parts: string[] = [];
    let copied = base;
    for (const { start, end } of this.#redactions.takeBefore(until)) {
      parts.push(this.#writer.keep(text.slice(copied - base, start - base)));
      parts.push(this.#writer.redact(text.slice(start - base, end - base)));
      copied = end;
    }
    parts.push(this.#writer.keep(text.slice(copied - base)));
    return parts.join("");
  }
}

/** Maximum length that is judged at once: it bounds the work of folding and of writing between two pauses. */
export const PIECE_CHARS = 16_384;

/**
 * Maximum length that is held back. Any number of characters that fold to nothing is held back with their neighbours; a text that needs
 * more cannot be judged.
 */
export const MAX_HELD_CHARS = 65_536;

export function* piecesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += PIECE_CHARS) yield text.slice(at, at + PIECE_CHARS);
}

/** Redactions of a text by one pattern. */
export interface Redactions<P> {
  readonly pattern: P;
  /** Number of redactions, at least 1. Adjacent redactions count as one. */
  readonly count: number;
}

export interface TextVerdict<P> {
  /** Text that may pass; meaningless if blocked. */
  readonly text: string;
  readonly redactions: readonly Redactions<P>[];
  readonly blocked: BlockReason<P> | undefined;
}

/** Judges a complete text. */
export async function judgeText<P extends TextPattern>(
  rules: TextRules<P>,
  text: string,
  work: Work,
  writer?: RedactionWriter,
): Promise<TextVerdict<P>> {
  const filter = new TextFilter(rules, work, writer);
  const passed = (await filter.push(text)) + filter.end();
  return { text: passed, redactions: filter.redactions, blocked: filter.blocked };
}
