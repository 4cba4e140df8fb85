import { isHighSurrogate, isLowSurrogate } from "./fold.ts";
import type { FoundPattern } from "./group-scan.ts";
import { TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./rules.ts";
import { Spans } from "./spans.ts";
import { REDACTED } from "./spec.ts";
import { RedactionCounter } from "./redaction-counter.ts";
import { type BlockReason, piecesOf, type Redactions } from "./text-filter.ts";
import type { Work } from "./work.ts";

/** Judgement of a text that comes in parts, e.g. of one message. */
export interface PartsVerdict<P> {
  /** The parts as they may pass; meaningless if blocked. */
  readonly parts: readonly string[];
  readonly redactions: readonly Redactions<P>[];
  readonly blocked: BlockReason<P> | undefined;
}

/**
 * Judges the parts of a text, each by itself and all as one text, joined without a separator: a match must not hide by being split,
 * nor by what a word boundary finds in the part beside it. A match over several parts is redacted in each of them.
 */
export async function judgeParts<P extends TextPattern>(
  rules: TextRules<P>,
  parts: readonly string[],
  work: Work,
): Promise<PartsVerdict<P>> {
  const whole = parts.join("");
  const redactions = new Spans();
  const tallies = new Map<P, RedactionCounter>();
  let hit: P | undefined;
  const take: FoundPattern<P> = (pattern, { start, end }) => {
    if (pattern.action === "block") {
      hit ??= pattern;
      return true;
    }
    const isWithinPair = start > 0 && isLowSurrogate(whole, start) && isHighSurrogate(whole, start - 1);
    const from = isWithinPair ? start - 1 : start;
    redactions.add(from, end);
    const tally = tallies.get(pattern) ?? new RedactionCounter();
    tallies.set(pattern, tally);
    tally.add(from, end);
    return false;
  };
  const blocked = (): PartsVerdict<P> => ({
    parts,
    redactions: [],
    blocked: hit === undefined ? { reason: "too_much_work" } : { reason: "match", pattern: hit },
  });
  let place = 0;
  for (const part of parts) {
    const from = place;
    const found: FoundPattern<P> = (pattern, { start, end, seenAt }) =>
      take(pattern, { start: from + start, end: from + end, seenAt: from + seenAt });
    if (!(await readWhole(rules, part, work, found)) || hit !== undefined) return blocked();
    place += part.length;
  }
  if (parts.length > 1 && (!(await readWhole(rules, whole, work, take)) || hit !== undefined)) return blocked();
  for (const tally of tallies.values()) tally.countBefore(whole.length);
  const counts = [...tallies].map(([pattern, { count }]) => ({ pattern, count }));
  return { parts: redacted(parts, redactions), redactions: counts, blocked: undefined };
}

/** Patterns that match a part, or all parts as one text. */
export async function matchesInParts<P extends TextPattern>(
  rules: TextRules<P>,
  parts: readonly string[],
  work: Work,
): Promise<ReadonlySet<P>> {
  const matched = new Set<P>();
  const note: FoundPattern<P> = (pattern) => {
    matched.add(pattern);
    return false;
  };
  for (const text of parts.length > 1 ? [...parts, parts.join("")] : parts) {
    if (!(await readWhole(rules, text, work, note))) break;
  }
  return matched;
}

/** @returns false if the work is used up before the end */
async function readWhole<P extends TextPattern>(
  rules: TextRules<P>,
  text: string,
  work: Work,
  found: FoundPattern<P>,
): Promise<boolean> {
  if (work.isExhausted) return false;
  const reading = new TextScan(rules, work, found);
  for (const piece of piecesOf(text)) {
    if (work.isExhausted || !(await reading.read(piece))) return false;
    if (work.isPauseDue) await work.pause();
  }
  if (work.isExhausted) return false;
  reading.end();
  return true;
}

function redacted(parts: readonly string[], redactions: Spans): readonly string[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const spans = redactions.takeBefore(length);
  let place = 0;
  let next = 0;
  return parts.map((part) => {
    const [from, to] = [place, place + part.length];
    place = to;
    if (part === "") return part;
    const kept: string[] = [];
    let copied = from;
    for (let span = spans[next]; span !== undefined && span.start < to; span = spans[next]) {
      kept.push(part.slice(copied - from, Math.max(copied, span.start) - from), REDACTED);
      copied = Math.min(span.end, to);
      if (span.end > to) break;
      next++;
    }
    kept.push(part.slice(copied - from));
    return kept.join("");
  });
}
