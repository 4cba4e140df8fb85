import { isHighSurrogate, isLowSurrogate } from "./fold.ts";
import { GroupScan, type OnPatternMatch, SCAN_STEPS } from "./pattern-group-scan.ts";
import { hasOneForm, TextScan } from "./text-scan.ts";
import type { TextPattern, TextRules } from "./compile-rules.ts";
import { Spans } from "./spans.ts";
import { REDACTED } from "./spec.ts";
import { RedactionCounter } from "./redaction-counter.ts";
import { type BlockReason, PIECE_CHARS, piecesOf, type Redactions } from "./text-filter.ts";
import type { Work } from "./work.ts";

/** Verdict on a text in parts, e.g. the parts of one message. */
export interface PartsVerdict<P> {
  /** Parts that may pass; meaningless if blocked. */
  readonly parts: readonly string[];
  readonly redactions: readonly Redactions<P>[];
  readonly blocked: BlockReason<P> | undefined;
}

/**
 * Judges the parts of a text, each by itself and all as one text, joined without a separator. So a match cannot be hidden by splitting it,
 * or by a word character in the adjacent part. A match over several parts is redacted in each of them.
 */
export async function judgeParts<P extends TextPattern>(
  rules: TextRules<P>,
  parts: readonly string[],
  work: Work,
): Promise<PartsVerdict<P>> {
  const whole = parts.join("");
  const redactions = new Spans();
  const counters = new Map<P, RedactionCounter>();
  let blocking: P | undefined;
  const onMatch: OnPatternMatch<P> = (pattern, { start, end }) => {
    if (pattern.action === "block") {
      blocking ??= pattern;
      return true;
    }
    const isWithinPair = start > 0 && isLowSurrogate(whole, start) && isHighSurrogate(whole, start - 1);
    const from = isWithinPair ? start - 1 : start;
    redactions.add(from, end);
    const counter = counters.get(pattern) ?? new RedactionCounter();
    counters.set(pattern, counter);
    counter.add(from, end);
    return false;
  };
  const blockedVerdict = (): PartsVerdict<P> => ({
    parts,
    redactions: [],
    blocked: blocking === undefined ? { reason: "too_much_work" } : { reason: "match", pattern: blocking },
  });
  let offset = 0;
  for (const part of parts) {
    const from = offset;
    const onPartMatch: OnPatternMatch<P> = (pattern, { start, end, decidedAt }) =>
      onMatch(pattern, { start: from + start, end: from + end, decidedAt: from + decidedAt });
    if (!(await scanWhole(rules, part, work, onPartMatch)) || blocking !== undefined) return blockedVerdict();
    offset += part.length;
  }
  if (parts.length > 1 && (!(await scanWhole(rules, whole, work, onMatch)) || blocking !== undefined))
    return blockedVerdict();
  for (const counter of counters.values()) counter.countBefore(whole.length);
  const counts = [...counters].map(([pattern, { count }]) => ({ pattern, count }));
  return { parts: redacted(parts, redactions), redactions: counts, blocked: undefined };
}

/** Patterns that match a part, or all parts as one text. If the work is exhausted, only the patterns found before. */
export async function matchesInParts<P extends TextPattern>(
  rules: TextRules<P>,
  parts: readonly string[],
  work: Work,
): Promise<ReadonlySet<P>> {
  const matched = new Set<P>();
  const record: OnPatternMatch<P> = (pattern) => {
    matched.add(pattern);
    return false;
  };
  for (const text of parts.length > 1 ? [...parts, parts.join("")] : parts) {
    if (!(await scanWhole(rules, text, work, record))) break;
  }
  return matched;
}

/**
 * Searches a text for a match in any text within it that has no word character beside it, e.g. a value of a JSON document: a match in
 * such a text is one in the whole, unless its pattern asserts an edge. Never waits.
 *
 * @returns true if there is certainly no match; false if there may be one
 */
export function matchesNothingWithin<P extends TextPattern>(rules: TextRules<P>, text: string, work: Work): boolean {
  if (rules.assertsEdges || text.length > PIECE_CHARS || !hasOneForm(text)) return false;
  work.spend(SCAN_STEPS * rules.groups.length);
  return rules.groups.every(({ dfa }) => dfa.matchesNothing(text, work));
}

/** Scans a complete text. @returns false if the work is exhausted before its end */
async function scanWhole<P extends TextPattern>(
  rules: TextRules<P>,
  text: string,
  work: Work,
  onMatch: OnPatternMatch<P>,
): Promise<boolean> {
  if (work.isExhausted) return false;
  if (text.length <= PIECE_CHARS && hasOneForm(text)) return scanOneForm(rules, text, work, onMatch);
  const scan = new TextScan(rules, work, onMatch);
  for (const piece of piecesOf(text)) {
    if (work.isExhausted || !(await scan.read(piece))) return false;
    if (work.isPauseDue) await work.pause();
  }
  if (work.isExhausted) return false;
  scan.end();
  return true;
}

/**
 * Scans a text whose forms are all the same. Most texts of a request are short and of this kind; the general scan took three times as long
 * for them, because of its promises.
 */
async function scanOneForm<P extends TextPattern>(
  { groups }: TextRules<P>,
  text: string,
  work: Work,
  onMatch: OnPatternMatch<P>,
): Promise<boolean> {
  work.spend(SCAN_STEPS * groups.length);
  const scans = groups.map((group) => new GroupScan(group));
  for (const scan of scans) {
    const end = scan.readSlice(text, 0, work, onMatch);
    if (end === "paused") await work.pause();
    if (end === "exhausted" || (end === "paused" && !(await scan.read(text, 0, work, onMatch)))) return false;
  }
  for (const scan of scans) scan.end("", text.length, work, onMatch);
  if (work.isPauseDue) await work.pause();
  return !work.isExhausted;
}

function redacted(parts: readonly string[], redactions: Spans): readonly string[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const spans = redactions.takeBefore(length);
  let offset = 0;
  let next = 0;
  return parts.map((part) => {
    const [from, to] = [offset, offset + part.length];
    offset = to;
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
