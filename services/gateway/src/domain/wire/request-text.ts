import { isAscii } from "node:buffer";
import { pause } from "./json.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Bytes that are decoded, in some milliseconds, between two turns of the event loop. */
const STRETCH_BYTES = 1_000_000;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/** Fault of bytes that are not UTF-8. Its message completes a sentence: "is not …". */
export class NotUtf8 extends Error {
  override readonly name = "NotUtf8";
}

/** Removes the byte order mark of UTF-8, which some clients put before JSON and no parser takes. */
export function withoutByteOrderMark(bytes: Uint8Array): Uint8Array {
  return BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte) ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
}

/**
 * Decodes UTF-8. A large text is decoded with pauses; one of ASCII takes a byte a character, in one copy.
 *
 * @param signal stops the work once it is aborted
 * @returns the text, or a promise of it where it is decoded with pauses
 * @throws NotUtf8; the reason of the signal
 */
export function decodeUtf8(bytes: Uint8Array, signal: CancelSignal): string | Promise<string> {
  if (isWide(bytes)) throw new NotUtf8("is UTF-16 or UTF-32: send UTF-8");
  if (isAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return bytes.length <= STRETCH_BYTES ? decode(bytes) : decodeInStretches(bytes, signal);
}

async function decodeInStretches(bytes: Uint8Array, signal: CancelSignal): Promise<string> {
  const parts: string[] = [];
  for (let from = 0; from < bytes.length;) {
    const to = startOfCharacter(bytes, from + STRETCH_BYTES);
    parts.push(decode(bytes.subarray(from, to)));
    from = to;
    if (from < bytes.length) await pause(signal);
  }
  return parts.join("");
}

/** Position of the first byte of the character that `at` is in: its other bytes, three at most, begin with the bits 10. */
function startOfCharacter(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) return bytes.length;
  for (let start = at; start > at - 4; start--) if (((bytes[start] ?? 0) & 0xc0) !== 0x80) return start;
  return at;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NotUtf8("is not UTF-8");
  }
}

/** True for JSON of two or four bytes a character: by its byte order mark, or by a zero among its first two, which are ASCII. */
function isWide(bytes: Uint8Array): boolean {
  const [first = 1, second = 1] = bytes;
  return first === 0 || second === 0 || (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}
