import { yieldToEventLoop } from "@routeplane/guardrails";
import { endOfScalar, endOfString } from "./json-members.ts";

/**
 * JSON.parse for JSON from outside. Depth and number of values are counted by a linear scan first: JSON.parse itself takes
 * 400,000 levels and needs seconds for 10 MiB of `[[],[],…`, and whatever walks its result would overflow the stack.
 */

/** Levels of arrays and objects within each other. */
export const MAX_JSON_DEPTH = 64;
/** Values and names of members. 100,000 take JSON.parse at most 40 ms, whatever their shape. */
export const MAX_REQUEST_VALUES = 100_000;
/** More than in a request: `logprobs` with 20 alternatives are some 200 values a token. */
export const MAX_ANSWER_VALUES = 1_000_000;
/** Characters that are scanned, in some milliseconds, before other requests have their turn. */
const STRETCH_CHARS = 1_000_000;

export class JsonTooComplex extends Error {
  override readonly name = "JsonTooComplex";
}

/**
 * Parses a text of at most some MiB in one go.
 *
 * @throws JsonTooComplex, whose message completes a sentence: "is nested deeper than …"; SyntaxError
 */
export function parseJson(text: string, maxValues: number): unknown {
  checkJson(text, maxValues);
  return JSON.parse(text);
}

/** @throws JsonTooComplex as `parseJson` */
export function checkJson(text: string, maxValues: number): void {
  const scan = new JsonScan(text, maxValues);
  while (!scan.done) scan.read();
}

/**
 * Parses a large text, with pauses in which other requests have their turn.
 *
 * @param signal stops the work once it is aborted
 * @throws JsonTooComplex as `parseJson`; SyntaxError; the reason of the signal
 */
export async function parseLargeJson(text: string, maxValues: number, signal: AbortSignal): Promise<unknown> {
  const scan = new JsonScan(text, maxValues);
  while (!scan.done) {
    scan.read();
    if (text.length > STRETCH_CHARS) await pause(signal);
  }
  return JSON.parse(text);
}

/** Lets other requests have their turn. @throws the reason of the signal once it is aborted */
export async function pause(signal: AbortSignal): Promise<void> {
  await yieldToEventLoop();
  signal.throwIfAborted();
}

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

/** Counts depth and values. The text may be anything: what is not JSON is left to JSON.parse. */
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

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Reads a stretch, and the string or number in which it ends. @throws JsonTooComplex */
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
