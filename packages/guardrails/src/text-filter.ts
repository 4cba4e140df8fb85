import type { FoundMatch } from "./automaton.ts";
import { isHighSurrogate, Pass, STEPS_OF_A_PASS } from "./pass.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import { Spans } from "./spans.ts";
import { MAX_MATCH_CHARS, REDACTED } from "./spec.ts";
import { Tally } from "./tally.ts";
import type { Work } from "./work.ts";

/** Why a text must not pass. */
export type Blocked<P> =
  | { readonly reason: "match"; readonly pattern: P }
  /** The work that a request may take is used up before all of its text was judged. */
  | { readonly reason: "too_much_work" };

/**
 * Lets a text pass piece by piece, without what must not: however it is cut into pieces, what passes is the same, and the
 * same as for the whole. Only text that may still become part of a match is held back, never more than `MAX_MATCH_CHARS`.
 *
 * What is redacted: at every place, what RE2 matches there (leftmost-first), overlapping or not. That covers all that RE2's own
 * replace-all would take out. What touches becomes one `REDACTED`.
 */
export class TextFilter<P extends TextPattern> {
  readonly #work: Work;
  readonly #passes: readonly Pass<P>[];
  readonly #redactions = new Spans();
  readonly #tallies = new Map<P, Tally>();
  /** What has not left yet, and where it begins. */
  #held = "";
  #place = 0;
  /** Whether what left last was redacted. */
  #insideRedaction = false;
  #hit: { readonly seenAt: number; readonly pattern: P } | undefined;
  #blocked: Blocked<P> | undefined;

  constructor(rules: TextRules<P>, work: Work) {
    this.#work = work;
    work.spend(STEPS_OF_A_PASS * rules.groups.length);
    this.#passes = rules.groups.map((group) => new Pass(group, (pattern, match) => this.#take(pattern, match)));
  }

  /** Once it is set nothing leaves any more. */
  get blocked(): Blocked<P> | undefined {
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
    for (let at = 0; at < text.length && this.#blocked === undefined; at += PIECE_CHARS) {
      parts.push(await this.#pushPiece(text.slice(at, at + PIECE_CHARS)));
    }
    return parts.join("");
  }

  /** The text is over, or will not go on. @returns the rest that may leave */
  end(): string {
    if (this.#blocked !== undefined) return "";
    for (const pass of this.#passes) pass.end(this.#held, this.#place, this.#work);
    return this.#isBlocked() ? "" : this.#release(this.#place + this.#held.length);
  }

  async #pushPiece(text: string): Promise<string> {
    if (this.#blocked !== undefined) return "";
    this.#held += text;
    for (const pass of this.#passes) {
      if (await pass.read(this.#held, this.#place, this.#work)) continue;
      this.#blocked = { reason: "too_much_work" };
      return "";
    }
    if (this.#work.pauseDue) await this.#work.pause();
    return this.#isBlocked() ? "" : this.#release(this.#frontier());
  }

  #isBlocked(): boolean {
    if (this.#hit !== undefined) this.#blocked = { reason: "match", pattern: this.#hit.pattern };
    return this.#hit !== undefined;
  }

  /** Of several that block, the one that was to be seen first. @returns whether it blocks */
  #take(pattern: P, { start, end, seenAt }: FoundMatch): boolean {
    if (pattern.action === "redact") {
      const from = Math.max(start, this.#wholeCharacter(end - MAX_MATCH_CHARS));
      this.#redactions.add(from, end);
      this.#tallyOf(pattern).add(from, end);
      return false;
    }
    if (this.#hit === undefined || seenAt < this.#hit.seenAt) this.#hit = { seenAt, pattern };
    return true;
  }

  #tallyOf(pattern: P): Tally {
    const known = this.#tallies.get(pattern);
    if (known !== undefined) return known;
    const tally = new Tally();
    this.#tallies.set(pattern, tally);
    return tally;
  }

  /** Up to where no match can begin any more that would still have to be redacted. */
  #frontier(): number {
    const read = this.#passes[0]?.place ?? this.#place + this.#held.length;
    const earliest = Math.min(read, ...this.#passes.map(({ frontier }) => frontier));
    return Math.max(earliest, this.#place, this.#wholeCharacter(read - MAX_MATCH_CHARS));
  }

  /** The place itself, or the one before it if it lies within a surrogate pair. */
  #wholeCharacter(place: number): number {
    const at = place - this.#place;
    const isLow = (this.#held.charCodeAt(at) & 0xfc00) === 0xdc00;
    return isLow && at > 0 && isHighSurrogate(this.#held, at - 1) ? place - 1 : place;
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
      parts.push(text.slice(copied - base, start - base));
      if (start > base || !this.#insideRedaction) parts.push(REDACTED);
      copied = end;
    }
    this.#insideRedaction = copied === until;
    parts.push(text.slice(copied - base));
    return parts.join("");
  }
}

/** What is judged at one go: the effort of putting it together again is bounded too. */
const PIECE_CHARS = 65_536;

/** What a pattern took out of a text. */
export interface Redactions<P> {
  readonly pattern: P;
  /** What touches is one. At least 1. */
  readonly count: number;
}

export interface Judged<P> {
  /** What may pass; meaningless if blocked. */
  readonly text: string;
  readonly redactions: readonly Redactions<P>[];
  readonly blocked: Blocked<P> | undefined;
}

/** Judges a text that is there as a whole. */
export async function judgeText<P extends TextPattern>(
  rules: TextRules<P>,
  text: string,
  work: Work,
): Promise<Judged<P>> {
  const filter = new TextFilter(rules, work);
  const passed = await filter.push(text);
  const rest = filter.end();
  return { text: passed + rest, redactions: filter.redactions, blocked: filter.blocked };
}
