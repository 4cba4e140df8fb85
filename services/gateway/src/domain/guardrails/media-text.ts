import type { Work } from "@routeplane/guardrails";

/**
 * Text in the place of media. A model reads a data URL, or base64, that decodes to text like a text file, so it is judged.
 * Everything else in such a place (images, audio, PDF, other binary files, addresses, ids) cannot be inspected.
 */
export interface MediaText {
  readonly text: string;
  /** Encodes another text in the form of the value. */
  readonly withText: (text: string) => string;
}

const DATA_URL = /^\s*data:([^,]*),/i;
const MAX_ENCODING_CHARS = 100;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;
/** Characters that are decoded before `Work` is charged and may pause; a multiple of 4. */
const SLICE_CHARS = 262_144;
/** Characters of base64 that are decoded in one step of `Work`, as measured. */
const CHARS_PER_STEP = 2;
const CONTROLS = /(?![\t-\r])\p{Cc}/u;

export function isDataUrl(value: string): boolean {
  return /^\s*data:[\w.+-]{0,100}(?:\/[\w.+-]{0,100})?[;,]/i.test(value);
}

/** Decodes a value in the place of media. @returns undefined if it does not encode text */
export async function mediaTextOf(value: string, work: Work): Promise<MediaText | undefined> {
  const url = DATA_URL.exec(value);
  if (url === null) {
    const text = await textOfBase64(value, 0, work);
    return text === undefined ? undefined : { text, withText: toBase64 };
  }
  const [head, parameters = ""] = url;
  if (/;\s*base64\s*$/i.test(parameters.slice(-MAX_ENCODING_CHARS))) {
    const isEscaped = value.includes("%", head.length);
    const text = isEscaped
      ? await textOfBase64(await percentDecoded(value.slice(head.length), work), 0, work)
      : await textOfBase64(value, head.length, work);
    return text === undefined ? undefined : { text, withText: (other) => head + toBase64(other) };
  }
  const text = await percentDecoded(value.slice(head.length), work);
  return isText(text) ? { text, withText: (other) => head + encodeURIComponent(other.toWellFormed()) } : undefined;
}

async function textOfBase64(value: string, start: number, work: Work): Promise<string | undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const texts: string[] = [];
  let rest = "";
  for (let at = start; at < value.length; at += SLICE_CHARS) {
    const slice = rest + value.slice(at, at + SLICE_CHARS).replaceAll(/\s+/g, "");
    const isLast = at + SLICE_CHARS >= value.length;
    const end = isLast ? slice.length : slice.length - (slice.length % 4);
    const encoded = slice.slice(0, end);
    rest = slice.slice(end);
    if (!BASE64.test(encoded) || (!isLast && encoded.endsWith("="))) return undefined;
    const text = decoded(decoder, Buffer.from(encoded, "base64"), isLast);
    if (text === undefined) return undefined;
    texts.push(text);
    work.spend(encoded.length / CHARS_PER_STEP);
    if (work.isPauseDue) await work.pause();
  }
  return texts.join("");
}

function decoded(decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array, isLast: boolean): string | undefined {
  try {
    const text = decoder.decode(bytes, { stream: !isLast });
    return isText(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** True if decoded bytes are text. A PDF can consist of printable characters, and show other text. */
function isText(text: string): boolean {
  return !CONTROLS.test(text) && !text.trimStart().startsWith("%PDF-");
}

/** Decodes the percent-escapes of a text; all other characters stay. */
async function percentDecoded(text: string, work: Work): Promise<string> {
  if (!text.includes("%")) return text;
  const bytes = Buffer.from(text);
  let length = 0;
  for (let at = 0; at < bytes.length; length++) {
    const [high, low] = [hexOf(bytes[at + 1]), hexOf(bytes[at + 2])];
    const isEscape = bytes[at] === PERCENT && high >= 0 && low >= 0;
    bytes[length] = isEscape ? 16 * high + low : (bytes[at] ?? 0);
    at += isEscape ? 3 : 1;
    if (length % SLICE_CHARS !== 0) continue;
    work.spend(2 * SLICE_CHARS);
    if (work.isPauseDue) await work.pause();
  }
  return bytes.toString("utf8", 0, length);
}

const PERCENT = 0x25;
const [ZERO, NINE, LOWER_A, LOWER_F] = [0x30, 0x39, 0x61, 0x66];

/** Value of a hexadecimal digit; -1 for any other byte. */
function hexOf(byte = 0): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= LOWER_A && lower <= LOWER_F ? lower - LOWER_A + 10 : -1;
}

function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}
