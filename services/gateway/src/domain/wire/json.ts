/**
 * JSON from outside. Depth and number of values are counted by a linear scan before JSON.parse, which takes 400,000 levels and
 * needs seconds for 10 MiB of `[[],[],…`, and whose result would overflow the stack of any recursive walk.
 */
import { yieldToEventLoop } from "@routeplane/guardrails";
import { endOfScalar, endOfString } from "./json-members.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Bound of levels of arrays and objects within each other. */
export const MAX_JSON_DEPTH = 64;
/** Bound of values and names of members in a request. 100,000 take JSON.parse at most 40 ms, whatever their shape. */
export const MAX_REQUEST_VALUES = 100_000;
/** Bound of values and names of members in an answer: `logprobs` with 20 alternatives are some 200 values a token. */
export const MAX_ANSWER_VALUES = 1_000_000;
/** Characters that are scanned, in some milliseconds, between two turns of the event loop. */
const STRETCH_CHARS = 1_000_000;
/** Length from which a text is checked in several turns of the event loop. */
export const LARGE_JSON_CHARS = STRETCH_CHARS;

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Fault of JSON that is beyond a bound. Its message completes a sentence: "is nested deeper than …". */
export class JsonTooComplex extends Error {
  override readonly name = "JsonTooComplex";
}

/** Parses a text of at most some MiB in one turn of the event loop. @throws JsonTooComplex; SyntaxError */
export function parseJson(text: string, maxValues: number): unknown {
  checkJson(text, maxValues);
  return JSON.parse(text);
}

/** Parses a text without reporting faults. @returns undefined if it is not JSON, or beyond `maxValues`; unbounded by default */
export function parseJsonOrUndefined(text: string, maxValues?: number): unknown {
  try {
    return maxValues === undefined ? JSON.parse(text) : parseJson(text, maxValues);
  } catch {
    return undefined;
  }
}

/** Checks the bounds of a text that may be anything. @throws JsonTooComplex */
export function checkJson(text: string, maxValues: number): void {
  if (isSmall(text, maxValues)) return;
  const scan = new JsonScan(text, maxValues);
  while (!scan.isDone) scan.read();
}

/**
 * Parses a large text, with pauses in which other requests have their turn.
 *
 * @param signal stops the work once it is aborted
 * @throws JsonTooComplex; SyntaxError; the reason of the signal
 */
export async function parseLargeJson(text: string, maxValues: number, signal: CancelSignal): Promise<unknown> {
  await checkLargeJson(text, maxValues, signal);
  return JSON.parse(text);
}

/** Checks the bounds of a large text, with pauses. @throws JsonTooComplex; the reason of the signal once it is aborted */
export async function checkLargeJson(text: string, maxValues: number, signal: CancelSignal): Promise<void> {
  if (isSmall(text, maxValues)) return;
  const scan = new JsonScan(text, maxValues);
  while (!scan.isDone) {
    scan.read();
    if (text.length > STRETCH_CHARS) await pause(signal);
  }
}

/** Waits for one turn of the event loop. @throws the reason of the signal once it is aborted */
export async function pause(signal: CancelSignal): Promise<void> {
  await yieldToEventLoop();
  signal.throwIfAborted();
}

/** Runs work to its end, with a pause at each of its yields. @throws the reason of the signal once it is aborted */
export async function withPauses<T>(work: Generator<undefined, T>, signal: CancelSignal): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await pause(signal);
  }
}

/**
 * True if a text is within both bounds because it has few enough characters and opening brackets. Found by the searches of the
 * engine: for a small request they take a tenth of the time of the scan.
 */
function isSmall(text: string, maxValues: number): boolean {
  if (text.length > Math.min(maxValues, SMALL_CHARS)) return false;
  let brackets = 0;
  for (const bracket of OPENING_BRACKETS) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++brackets > MAX_JSON_DEPTH) return false;
    }
  }
  return true;
}

const SMALL_CHARS = 16_384;
const OPENING_BRACKETS = ["{", "["] as const;

const UNIT = {
  tab: 0x09,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  space: 0x20,
  quote: 0x22,
  comma: 0x2c,
  colon: 0x3a,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;

/** Counter of depth and values of a text. It does not validate: faults of syntax are left to JSON.parse. */
class JsonScan {
  readonly #text: string;
  readonly #maxValues: number;
  #at = 0;
  #depth = 0;
  #values = 0;

  constructor(text: string, maxValues: number) {
    this.#text = text;
    this.#maxValues = maxValues;
  }

  get isDone(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Reads a stretch, to the end of the string or number in which it ends. @throws JsonTooComplex */
  read(): void {
    const until = Math.min(this.#at + STRETCH_CHARS, this.#text.length);
    while (this.#at < until) {
      this.#readToken();
      if (this.#depth > MAX_JSON_DEPTH) throw new JsonTooComplex(`is nested deeper than ${MAX_JSON_DEPTH} levels`);
      if (this.#values > this.#maxValues) {
        throw new JsonTooComplex(`has more than ${this.#maxValues} values and names of members`);
      }
    }
  }

  #readToken(): void {
    switch (this.#text.charCodeAt(this.#at)) {
      case UNIT.space:
      case UNIT.tab:
      case UNIT.lineFeed:
      case UNIT.carriageReturn:
      case UNIT.comma:
      case UNIT.colon:
        this.#at++;
        break;
      case UNIT.openBrace:
      case UNIT.openBracket:
        this.#at++;
        this.#values++;
        this.#depth++;
        break;
      case UNIT.closeBrace:
      case UNIT.closeBracket:
        this.#at++;
        this.#depth--;
        break;
      case UNIT.quote:
        this.#at = endOfString(this.#text, this.#at);
        this.#values++;
        break;
      default:
        this.#at = endOfScalar(this.#text, this.#at);
        this.#values++;
    }
  }
}
