/** Replacement of a part of a text. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly literal: string;
}

/** Applies edits to a text. @param edits in ascending order of their positions */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const parts: string[] = [];
  let copied = 0;
  for (const { start, end, literal } of edits) {
    parts.push(text.slice(copied, start), literal);
    copied = end;
  }
  parts.push(text.slice(copied));
  return parts.join("");
}

/**
 * Applies edits to the bytes of a text, without copying those that stay.
 *
 * @param bytes the text in UTF-8
 * @param edits in ascending order of their positions in the text
 * @returns the pieces of the edited text
 */
export function applyEditsToBytes(bytes: Uint8Array, text: string, edits: readonly Edit[]): readonly Uint8Array[] {
  // Only in ASCII a text has as many characters as bytes.
  const isAscii = bytes.length === text.length;
  const pieces: Uint8Array[] = [];
  let [at, offset] = [0, 0];
  const advance = (to: number): number => {
    offset += isAscii ? to - at : Buffer.byteLength(text.slice(at, to));
    at = to;
    return offset;
  };
  let copied = 0;
  for (const { start, end, literal } of edits) {
    pieces.push(bytes.subarray(copied, advance(start)), Buffer.from(literal));
    copied = advance(end);
  }
  pieces.push(bytes.subarray(copied));
  return pieces;
}
