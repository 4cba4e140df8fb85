import type { Medium, SentMedium } from "../media/media.ts";
import { isObject } from "../wire/json.ts";

/** Everything of a request that its upstream may count as input. */
export interface SentInput {
  /** Texts that the model may read. */
  readonly texts: readonly string[];
  /** Bytes of the remaining values and names: at most a token each. */
  readonly otherBytes: number;
  /** Numbers of messages and of tool calls in them, to which templates add tokens. */
  readonly messages: number;
  readonly toolCalls: number;
  /** Items that a provider of the responses wire may fill in from what it has stored, of any length. */
  readonly storedItems: number;
  readonly media: readonly Medium[];
}

/** Collector of the input of a request. */
export class InputCollector implements Omit<SentInput, "media"> {
  readonly texts: string[] = [];
  readonly sentMedia: SentMedium[] = [];
  otherBytes = 0;
  messages = 0;
  toolCalls = 0;
  storedItems = 0;

  /** Adds a text, or another value where none is. */
  addText(value: unknown): void {
    if (typeof value !== "string") this.addOther(value);
    else if (value !== "") this.texts.push(value);
  }

  /** Adds every text in a value; its names and other values by their bytes. */
  addTextsOf(value: unknown): void {
    if (typeof value === "string") this.addText(value);
    else if (Array.isArray(value)) for (const item of value) this.addTextsOf(item);
    else if (isObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        this.otherBytes += Buffer.byteLength(name) + PUNCTUATION_BYTES;
        this.addTextsOf(member);
      }
    } else this.addOther(value);
  }

  /** Adds a value by the bytes of its JSON. */
  addOther(value: unknown): void {
    this.otherBytes += bytesOf(value);
  }

  /** Adds the names of members that are not known; their values are empty. */
  addNames(object: object, known: ReadonlySet<string>): void {
    for (const name of Object.keys(object)) if (!known.has(name)) this.addOther(name);
  }

  addMedium(medium: SentMedium): void {
    this.sentMedia.push(medium);
  }
}

/** Bytes of quotes, colon and comma, or brackets, around a value. */
const PUNCTUATION_BYTES = 4;
/** Bytes of a number, `true`, `false` or `null`. */
const SCALAR_BYTES = 24;

/** Bounds the bytes of a value as JSON without making it. Depth and number of values are bounded when a body is parsed. */
function bytesOf(value: unknown): number {
  if (value === undefined || value === null || typeof value === "boolean") return 0;
  if (typeof value === "string") return value === "" ? 0 : Buffer.byteLength(value) + PUNCTUATION_BYTES;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + bytesOf(item) + 1, 0);
  if (!isObject(value)) return SCALAR_BYTES;
  return Object.entries(value).reduce(
    (sum, [name, member]) => sum + Buffer.byteLength(name) + PUNCTUATION_BYTES + bytesOf(member),
    0,
  );
}
