import type { Work } from "@routeplane/guardrails";
import { endOfScalar, endOfString, endOfValue } from "./json-members.ts";

/** A string, a name of a member or a number somewhere in a JSON text, and where it stands. */
export interface JsonText {
  /** `whole`: a value that was asked for as a whole, and may be anything. */
  readonly kind: "string" | "name" | "number" | "whole";
  /**
   * Names of members and indices with `[]` for every index, e.g. `messages[].content`; `OTHER_PLACE` if that is long. Of a name,
   * that of its value.
   */
  readonly place: string;
  /** Where its literal starts and ends, quotes included. */
  readonly start: number;
  readonly end: number;
  /** Names of members and indices, from the root. Only until the next text is asked for. */
  readonly path: () => readonly (string | number)[];
}

/** Longer than all places that are known, so that what each string takes does not grow with the names around it. */
const MAX_PLACE_CHARS = 200;
export const OTHER_PLACE = "…";

interface Frame {
  readonly parent: Frame | undefined;
  readonly isArray: boolean;
  readonly place: string;
  /** Of the member or the element that is being read. */
  step: string | number;
  expectsName: boolean;
}

/** In steps of `Work`, as measured. */
const STEPS_A_TEXT = 100;
const STEPS_A_NAME = 30;
const CHARS_A_STEP = 2;
/** Characters read between two looks at the work. */
const STRETCH_CHARS = 100_000;

/**
 * Finds the strings, names and numbers of a JSON text in their order, those of duplicate members too: a round trip through JSON.parse would
 * drop them, and an upstream may read what we do not.
 *
 * @param text valid JSON: the caller has parsed it
 * @param work charged for what is read, and paused in between
 * @param opaque places whose values are given as a whole, without a look inside
 */
export async function* jsonTexts(
  text: string,
  work: Work,
  opaque: ReadonlySet<string> = new Set(),
): AsyncGenerator<JsonText> {
  let top: Frame | undefined;
  let charged = 0;
  for (let at = 0; at < text.length;) {
    if (at - charged >= STRETCH_CHARS) {
      work.spend((at - charged) / CHARS_A_STEP);
      charged = at;
      if (work.isPauseDue) await work.pause();
    }
    const start = at++;
    const unit = text[start];
    if (unit === '"' && top?.expectsName === true) {
      at = endOfString(text, start);
      top.step = String(JSON.parse(text.slice(start, at)));
      top.expectsName = false;
      const frame = top;
      work.spend(STEPS_A_NAME);
      if (work.isPauseDue) await work.pause();
      yield { kind: "name", place: placeIn(top), start, end: at, path: () => pathOf(frame) };
    } else if (unit === "-" || (unit !== undefined && unit >= "0" && unit <= "9")) {
      at = endOfScalar(text, start);
      const frame = top;
      work.spend(STEPS_A_NAME);
      if (work.isPauseDue) await work.pause();
      yield { kind: "number", place: top === undefined ? "" : placeIn(top), start, end: at, path: () => pathOf(frame) };
    } else if (unit === '"' || unit === "{" || unit === "[") {
      const place = top === undefined ? "" : placeIn(top);
      const isString = unit === '"';
      if (isString || opaque.has(place)) {
        at = endOfValue(text, start);
        work.spend(STEPS_A_TEXT);
        if (work.isPauseDue) await work.pause();
        const frame = top;
        yield { kind: isString ? "string" : "whole", place, start, end: at, path: () => pathOf(frame) };
      } else top = frameIn(top, unit === "[", place);
    } else if (unit === ",") goOn(top);
    else if (unit === "}" || unit === "]") top = top?.parent;
  }
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
