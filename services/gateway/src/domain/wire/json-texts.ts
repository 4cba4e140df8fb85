import type { Work } from "@routeplane/guardrails";
import { endOfScalar, endOfString, endOfValue } from "./json-members.ts";

/** String, name of a member or number within a JSON text, with its position and place. */
export interface JsonText {
  /** `whole`: a value of any type at one of the opaque places. */
  readonly kind: "string" | "name" | "number" | "whole";
  /**
   * Place in the document: names of members, and `[]` for every index, e.g. `messages[].content`; `OTHER_PLACE` if it is long. A
   * name has the place of its value.
   */
  readonly place: string;
  /** Position of the first character of the literal, the opening quote included. */
  readonly start: number;
  /** Position after the last character of the literal, the closing quote included. */
  readonly end: number;
  /** Names of members and indices, from the root. Valid only until the next text is requested. */
  readonly path: () => readonly (string | number)[];
}

/** Bound of a place. Longer than all known places; the cost of a string must not grow with the names around it. */
const MAX_PLACE_CHARS = 200;
/** Stands for every place that is longer than the bound. */
export const OTHER_PLACE = "…";

/** Array or object that is being read. */
interface Frame {
  readonly parent: Frame | undefined;
  readonly isArray: boolean;
  readonly place: string;
  /** Name of the member, or index of the element, that is being read. */
  step: string | number;
  expectsName: boolean;
}

const NO_PLACES: ReadonlySet<string> = new Set();

/** Measured costs, in steps of `Work`. */
const STEPS_PER_TEXT = 100;
const STEPS_PER_NAME = 30;
const CHARS_PER_STEP = 2;
/** Characters that are read before `Work` is charged and may pause. */
const STRETCH_CHARS = 100_000;

/**
 * Finds the strings, names and numbers of a JSON text in their order. Those of duplicate members are included, which JSON.parse
 * drops: an upstream may read them.
 *
 * @param text valid JSON: the caller has parsed it
 * @param work charged for the characters and texts that are read
 * @param opaque places whose values are returned as a whole, without reading inside
 * @returns the texts; undefined where a pause of the work is due, for which the caller waits. An asynchronous generator, which would
 * wait by itself, took twice as long for a small text
 */
export function* jsonTexts(
  text: string,
  work: Work,
  opaque: ReadonlySet<string> = NO_PLACES,
): Generator<JsonText | undefined, void> {
  let top: Frame | undefined;
  let charged = 0;
  for (let at = 0; at < text.length;) {
    if (at - charged >= STRETCH_CHARS) {
      work.spend((at - charged) / CHARS_PER_STEP);
      charged = at;
      if (work.isPauseDue) yield undefined;
    }
    const start = at++;
    const unit = text[start];
    if (unit === '"' && top?.expectsName === true) {
      at = endOfString(text, start);
      top.step = valueOfString(text, start, at);
      top.expectsName = false;
      const frame = top;
      work.spend(STEPS_PER_NAME);
      if (work.isPauseDue) yield undefined;
      yield { kind: "name", place: placeIn(top), start, end: at, path: () => pathOf(frame) };
    } else if (unit === "-" || (unit !== undefined && unit >= "0" && unit <= "9")) {
      at = endOfScalar(text, start);
      const frame = top;
      work.spend(STEPS_PER_NAME);
      if (work.isPauseDue) yield undefined;
      yield { kind: "number", place: top === undefined ? "" : placeIn(top), start, end: at, path: () => pathOf(frame) };
    } else if (unit === '"' || unit === "{" || unit === "[") {
      const place = top === undefined ? "" : placeIn(top);
      const isString = unit === '"';
      if (isString || opaque.has(place)) {
        at = endOfValue(text, start);
        work.spend(STEPS_PER_TEXT);
        if (work.isPauseDue) yield undefined;
        const frame = top;
        yield { kind: isString ? "string" : "whole", place, start, end: at, path: () => pathOf(frame) };
      } else top = frameIn(top, unit === "[", place);
    } else if (unit === ",") advance(top);
    else if (unit === "}" || unit === "]") top = top?.parent;
  }
}

/** Value of a string of valid JSON, with its quotes: almost none has escapes, and the parser takes three times as long as a view. */
export function valueOfString(json: string, start: number, end: number): string {
  const content = json.slice(start + 1, end - 1);
  return content.includes("\\") ? (JSON.parse(json.slice(start, end)) as string) : content;
}

function frameIn(parent: Frame | undefined, isArray: boolean, place: string): Frame {
  return isArray
    ? { parent, isArray, place: bounded(`${place}[]`), step: 0, expectsName: false }
    : { parent, isArray, place, step: "", expectsName: true };
}

function placeIn({ isArray, place, step }: Frame): string {
  if (isArray || place === OTHER_PLACE) return place;
  return bounded(place === "" ? String(step) : `${place}.${step}`);
}

function bounded(place: string): string {
  return place.length > MAX_PLACE_CHARS || place.startsWith(OTHER_PLACE) ? OTHER_PLACE : place;
}

function pathOf(top: Frame | undefined): readonly (string | number)[] {
  const path: (string | number)[] = [];
  for (let frame = top; frame !== undefined; frame = frame.parent) path.push(frame.step);
  return path.toReversed();
}

function advance(frame: Frame | undefined): void {
  if (frame === undefined) return;
  frame.expectsName = !frame.isArray;
  if (typeof frame.step === "number") frame.step++;
}
