import { randomUUID } from "node:crypto";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { type JsonObject, pause } from "./json.ts";

/** Length from which a string is written by itself. */
const LONG_CHARS = 100_000;
/** Characters that are written, in some milliseconds, between two turns of the event loop. */
const STRETCH_CHARS = 1_000_000;

/**
 * Writes a value whose strings may be of any length, with pauses between stretches of these. Everything else is written in one turn.
 *
 * @returns the text in UTF-8, in pieces
 * @throws the reason of the signal once it is aborted
 */
export async function writeLargeJson(value: JsonObject, signal: CancelSignal): Promise<readonly Uint8Array[]> {
  // No text from outside can contain it by intent.
  const mark = randomUUID();
  const longStrings: string[] = [];
  const outline = JSON.stringify(value, (_name, member: unknown) => {
    if (typeof member !== "string" || member.length <= LONG_CHARS) return member;
    longStrings.push(member);
    return mark;
  });
  const pieces: Uint8Array[] = [];
  for (const [index, part] of outline.split(mark).entries()) {
    pieces.push(Buffer.from(part));
    const text = longStrings[index] ?? "";
    for (let at = 0; at < text.length;) {
      const end = endOfStretch(text, at);
      pieces.push(Buffer.from(JSON.stringify(text.slice(at, end)).slice(1, -1)));
      at = end;
      await pause(signal);
    }
  }
  return pieces;
}

/** End of the stretch from a position, which is not between the two halves of a character. */
function endOfStretch(text: string, from: number): number {
  const end = from + STRETCH_CHARS;
  return isHighSurrogate(text.charCodeAt(end - 1)) ? end + 1 : Math.min(end, text.length);
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
