import { randomUUID } from "node:crypto";
import { JsonTooComplex, MAX_JSON_DEPTH } from "./json.ts";
import { endOfScalar } from "./json-members.ts";

/**
 * Outline of a JSON text: the same JSON with its long strings replaced by short ones, and long blanks by one. What is done with
 * the outline takes milliseconds, whatever the size of the text; the text itself is read in stretches, between which other
 * requests have their turn. Long strings without escapes, such as media in base64, are views of the text and not copies of it.
 */
export interface JsonOutline {
  readonly text: string;
  /** Value of the whole text. */
  readonly value: unknown;
  /** Position in the whole text of a position in the outline that is not within a string. Undefined if they are the same. */
  readonly sourceOf?: (at: number) => number;
}

/** Length from which a string is replaced, and the number of blanks from which they are. */
const LONG_CHARS = 100;
const LONG_BLANK_CHARS = 16;
/** Bound of the outline for each value that the text may have: only long numbers make it longer. */
const MAX_CHARS_PER_VALUE = 160;
/** Bound of all long names, which are kept: JSON.parse takes 5 ms for a million characters of different names. */
const MAX_LONG_NAME_CHARS = 4_000_000;
/** Characters that are read, in some milliseconds, between two yields. */
const STRETCH_CHARS = 1_000_000;
/** Values that are visited between two yields. */
const VISITS = 10_000;

const BLANK = { space: 0x20, tab: 0x09, lineFeed: 0x0a, carriageReturn: 0x0d } as const;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const COLON = 0x3a;
const CONTROL = /[^\x20-\uffff]/;

/**
 * Makes the outline of a text.
 *
 * @param parse parses the outline; `JSON.parse` by default
 * @returns a generator that yields between stretches, so that its caller can pause, and returns the outline
 * @throws JsonTooComplex; SyntaxError
 */
export function* outlineJson(
  text: string,
  maxValues: number,
  parse: (text: string) => unknown = JSON.parse,
): Generator<undefined, JsonOutline> {
  return yield* new Outliner(text, maxValues, parse).outline();
}

class Outliner {
  readonly #text: string;
  readonly #maxValues: number;
  readonly #parse: (text: string) => unknown;
  /** Begins the strings that stand for long ones. No text from outside can contain it by intent. */
  readonly #mark = randomUUID();
  readonly #longStrings: string[] = [];
  /** Positions, in outline and text, from which the outline continues with unchanged text. */
  readonly #runs: { readonly outlineAt: number; readonly sourceAt: number }[] = [{ outlineAt: 0, sourceAt: 0 }];
  readonly #parts: string[] = [];
  #outlineChars = 0;
  /** Position up to which the text is in the outline. */
  #copied = 0;
  #yieldedAt = 0;
  #longNameChars = 0;
  #visited = 0;
  /** Position of the next backslash from the last long string on. */
  #backslash = -1;

  constructor(text: string, maxValues: number, parse: (text: string) => unknown) {
    this.#text = text;
    this.#maxValues = maxValues;
    this.#parse = parse;
  }

  *outline(): Generator<undefined, JsonOutline> {
    const text = this.#text;
    let at = 0;
    let depth = 0;
    let values = 0;
    while (at < text.length) {
      switch (text[at]) {
        case " ":
        case "\t":
        case "\n":
        case "\r":
          at = yield* this.#readBlank(at);
          break;
        case ",":
        case ":":
          at++;
          break;
        case "{":
        case "[":
          at++;
          values++;
          if (++depth > MAX_JSON_DEPTH) throw new JsonTooComplex(`is nested deeper than ${MAX_JSON_DEPTH} levels`);
          break;
        case "}":
        case "]":
          at++;
          depth--;
          break;
        case '"':
          at = yield* this.#readString(at);
          values++;
          break;
        default:
          at = endOfScalar(text, at);
          values++;
      }
      if (values > this.#maxValues) {
        throw new JsonTooComplex(`has more than ${this.#maxValues} values and names of members`);
      }
      if (this.#isLongSince(at)) yield;
    }
    this.#copy(text.length, text.length, "");
    yield;
    const outline = this.#parts.join("");
    yield;
    const value = this.#parse(outline);
    yield;
    const whole = this.#longStrings.length === 0 ? value : yield* this.#withLongStrings(value);
    return { text: outline, value: whole, sourceOf: (outlineAt) => this.#sourceOf(outlineAt) };
  }

  /** True once a stretch has been read since the last yield. */
  #isLongSince(at: number): boolean {
    if (at - this.#yieldedAt < STRETCH_CHARS) return false;
    this.#yieldedAt = at;
    return true;
  }

  /** Copies the text up to `from`, and `literal` in place of what is between `from` and `to`. */
  #copy(from: number, to: number, literal: string): void {
    this.#parts.push(this.#text.slice(this.#copied, from), literal);
    this.#outlineChars += from - this.#copied + literal.length;
    this.#copied = to;
    this.#runs.push({ outlineAt: this.#outlineChars, sourceAt: to });
    const max = this.#maxValues * MAX_CHARS_PER_VALUE;
    if (this.#outlineChars > max) throw new JsonTooComplex(`has more than ${max} characters beside its texts`);
  }

  *#readBlank(from: number): Generator<undefined, number> {
    const text = this.#text;
    let at = from + 1;
    while (isBlank(text.charCodeAt(at))) {
      at++;
      if (this.#isLongSince(at)) yield;
    }
    if (at - from >= LONG_BLANK_CHARS) this.#copy(from, at, " ");
    return at;
  }

  /** @returns the position after the string */
  *#readString(from: number): Generator<undefined, number> {
    const text = this.#text;
    const quote = text.indexOf('"', from + 1);
    // Nothing that is not closed is JSON, and JSON.parse says so.
    if (quote === -1) return text.length;
    const isPlain = quote - from <= LONG_CHARS && text.charCodeAt(quote - 1) !== BACKSLASH;
    if (isPlain) return quote + 1;
    const mayBeEscaped = this.#nextBackslash(from) < quote;
    const end = mayBeEscaped ? yield* this.#endOfEscaped(from) : quote + 1;
    if (end - from <= LONG_CHARS) return end;
    if (yield* this.#isName(end)) {
      this.#longNameChars += end - from;
      if (this.#longNameChars <= MAX_LONG_NAME_CHARS) return end;
      throw new JsonTooComplex(`has more than ${MAX_LONG_NAME_CHARS} characters in long names of members`);
    }
    const value = mayBeEscaped ? yield* this.#readEscaped(from, end) : yield* this.#readPlain(from, end);
    this.#copy(from, end, `"${this.#mark}${this.#longStrings.length}"`);
    this.#longStrings.push(value);
    return end;
  }

  #nextBackslash(from: number): number {
    if (this.#backslash < from) {
      const at = this.#text.indexOf("\\", from);
      this.#backslash = at === -1 ? Number.POSITIVE_INFINITY : at;
    }
    return this.#backslash;
  }

  *#endOfEscaped(from: number): Generator<undefined, number> {
    for (let at = from + 1; at < this.#text.length;) {
      const unit = this.#text.charCodeAt(at);
      if (unit === QUOTE) return at + 1;
      at += unit === BACKSLASH ? 2 : 1;
      if (this.#isLongSince(at)) yield;
    }
    return this.#text.length;
  }

  /** True if a string that ends at `end` is the name of a member: names are kept. */
  *#isName(end: number): Generator<undefined, boolean> {
    let at = end;
    while (isBlank(this.#text.charCodeAt(at))) {
      at++;
      if (this.#isLongSince(at)) yield;
    }
    return this.#text.charCodeAt(at) === COLON;
  }

  *#readPlain(from: number, end: number): Generator<undefined, string> {
    const value = this.#text.slice(from + 1, end - 1);
    for (let at = 0; at < value.length; at += STRETCH_CHARS) {
      if (CONTROL.test(value.slice(at, at + STRETCH_CHARS))) throw new SyntaxError("a control character in a string");
      if (value.length > STRETCH_CHARS) yield;
    }
    return value;
  }

  /** Undoes the escapes of a string, stretch by stretch: none ends within an escape. */
  *#readEscaped(from: number, end: number): Generator<undefined, string> {
    const text = this.#text;
    const parts: string[] = [];
    for (let at = from + 1; at < end - 1;) {
      const start = at;
      const until = Math.min(at + STRETCH_CHARS, end - 1);
      while (at < until) {
        if (text.charCodeAt(at) !== BACKSLASH) at++;
        else at += text.charCodeAt(at + 1) === LETTER_U ? 6 : 2;
      }
      parts.push(JSON.parse(`"${text.slice(start, Math.min(at, end - 1))}"`) as string);
      if (end - from > STRETCH_CHARS) yield;
    }
    return parts.join("");
  }

  /** Puts the long strings back in their places. */
  *#withLongStrings(value: unknown): Generator<undefined, unknown> {
    if (typeof value === "string") return this.#longStringOf(value);
    if (typeof value !== "object" || value === null) return value;
    // A number that is kept as text is an object, which cannot be changed.
    if (Object.isFrozen(value)) return value;
    const members = value as Record<string, unknown>;
    for (const name of Object.keys(members)) {
      const member = members[name];
      if (typeof member === "string") members[name] = this.#longStringOf(member);
      else if (typeof member === "object" && member !== null) yield* this.#withLongStrings(member);
      if (++this.#visited % VISITS === 0) yield;
    }
    return value;
  }

  #longStringOf(value: string): string {
    return value.startsWith(this.#mark) ? (this.#longStrings[Number(value.slice(this.#mark.length))] ?? value) : value;
  }

  #sourceOf(outlineAt: number): number {
    let [low, high] = [0, this.#runs.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.outlineAt ?? 0) <= outlineAt) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low] ?? { outlineAt: 0, sourceAt: 0 };
    return run.sourceAt + outlineAt - run.outlineAt;
  }
}

function isBlank(unit: number): boolean {
  return unit === BLANK.space || unit === BLANK.lineFeed || unit === BLANK.carriageReturn || unit === BLANK.tab;
}
