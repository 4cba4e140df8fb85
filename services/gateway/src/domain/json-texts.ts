import { endOfString, endOfValue } from "./json-members.ts";

/** A string somewhere in a JSON text, and where it stands. */
export interface JsonText {
  /** Names of members and indices, from the root. */
  readonly path: readonly (string | number)[];
  /** The same with `[]` for every index, e.g. `messages[].content`. */
  readonly place: string;
  /** Where its literal starts and ends, quotes included. */
  readonly start: number;
  readonly end: number;
  /** False for a value that was asked for as a whole: it may be anything. */
  readonly isString: boolean;
}

interface Frame {
  readonly isArray: boolean;
  readonly place: string;
  /** Of the member or the element that is being read. */
  step: string | number;
  expectsName: boolean;
}

const STRUCTURE = /["[\]{},]/g;
/** How much is read between two looks of the caller. */
const STRETCH = 10_000;

/**
 * The string values of a JSON text in their order, those of duplicate members too: a round trip through JSON.parse would drop
 * them, and an upstream may read what we do not.
 *
 * @param text valid JSON: the caller has parsed it
 * @param opaque places whose values are given as a whole, without a look inside
 * @returns yields undefined now and then, so that its caller can let others have their turn
 */
export function* jsonTexts(text: string, opaque: ReadonlySet<string> = new Set()): Generator<JsonText | undefined> {
  const frames: Frame[] = [];
  let at = 0;
  for (let count = 0; ; count++) {
    if (count % STRETCH === STRETCH - 1) yield undefined;
    STRUCTURE.lastIndex = at;
    const match = STRUCTURE.exec(text);
    if (match === null) return;
    const top = frames.at(-1);
    at = match.index + 1;
    if (match[0] === '"' && top?.expectsName === true) {
      at = endOfString(text, match.index);
      top.step = String(JSON.parse(text.slice(match.index, at)));
      top.expectsName = false;
    } else if (match[0] === '"' || match[0] === "{" || match[0] === "[") {
      const place = top === undefined ? "" : placeIn(top);
      const isString = match[0] === '"';
      if (isString || opaque.has(place)) {
        at = endOfValue(text, match.index);
        yield { path: frames.map(({ step }) => step), place, start: match.index, end: at, isString };
      } else frames.push(frameOf(match[0] === "[", place));
    } else if (match[0] === ",") goOn(top);
    else frames.pop();
  }
}

function frameOf(isArray: boolean, place: string): Frame {
  return isArray
    ? { isArray, place: `${place}[]`, step: 0, expectsName: false }
    : { isArray, place, step: "", expectsName: true };
}

function placeIn({ isArray, place, step }: Frame): string {
  if (isArray) return place;
  return place === "" ? String(step) : `${place}.${step}`;
}

function goOn(frame: Frame | undefined): void {
  if (frame === undefined) return;
  frame.expectsName = !frame.isArray;
  if (typeof frame.step === "number") frame.step++;
}

/** Another literal in the place of one. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly literal: string;
}

/** @param edits by rising place */
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
