import { foldStretches, lastStretchAt, sameStretch, type Stretch } from "./fold.ts";
import type { Work } from "./work.ts";

/**
 * Texts that are JSON, such as the arguments of a tool call or a structured answer, as they read once their escapes are undone:
 * `\u0073ecret` is "secret" to whoever parses them.
 */

const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/g;
/** Cost of undoing an escape, each time that its piece is looked at, in steps of `Work`. */
const STEPS_OF_A_STRETCH = 100;
const BEGUN = /\\(?:u[0-9a-fA-F]{0,3})?$/;

/** The folded form of a text whose escapes are undone. @returns undefined if it has none */
export function foldEscapedStretches(text: string, work: Work): readonly Stretch[] | undefined {
  const escaped = unescapedStretches(text);
  if (escaped === undefined) return undefined;
  work.spend(STEPS_OF_A_STRETCH * escaped.length);
  const unescaped = textOf(escaped);
  const folded = foldStretches(unescaped, work) ?? [sameStretch(unescaped)];
  return composed(escaped, folded);
}

/** Index of the last stretch (see `lastStretchAt`) of a text whose escapes are undone; includes an escape that is not whole. */
export function lastEscapedStretchAt(text: string): number {
  if (!text.includes("\\")) return lastStretchAt(text);
  const escaped = unescapedStretches(text) ?? [sameStretch(text)];
  const rest = escaped.at(-1);
  const begun = rest?.same === true ? BEGUN.exec(rest.folded) : null;
  if (begun !== null) return lastEscapedStretchAt(text.slice(0, -begun[0].length));
  const last = lastStretchAt(textOf(escaped));
  let [at, place] = [0, 0];
  for (const { folded, width, same } of escaped) {
    if (at + folded.length > last) return place + (same ? last - at : 0);
    at += folded.length;
    place += width;
  }
  return place;
}

/** A text with its escapes undone; undefined if its last one is not whole. */
export function unescape(text: string): string | undefined {
  const escaped = unescapedStretches(text) ?? [sameStretch(text)];
  const rest = escaped.at(-1);
  return rest?.same === true && BEGUN.test(rest.folded) ? undefined : textOf(escaped);
}

function unescapedStretches(text: string): readonly Stretch[] | undefined {
  if (!text.includes("\\")) return undefined;
  const stretches: Stretch[] = [];
  let copied = 0;
  for (const { 0: escape, index } of text.matchAll(ESCAPE)) {
    if (copied < index) stretches.push(sameStretch(text.slice(copied, index)));
    stretches.push({ folded: characterOf(escape), width: escape.length, same: false });
    copied = index + escape.length;
  }
  if (stretches.length === 0) return undefined;
  if (copied < text.length) stretches.push(sameStretch(text.slice(copied)));
  return stretches;
}

const CHARACTERS: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function characterOf(escape: string): string {
  const name = escape[1] ?? "";
  return name === "u" ? String.fromCharCode(Number.parseInt(escape.slice(2), 16)) : (CHARACTERS[name] ?? name);
}

/** Stretches of a folded text, whose originals are what other stretches make of theirs. */
function composed(outer: readonly Stretch[], inner: readonly Stretch[]): readonly Stretch[] {
  const result: Stretch[] = [];
  let index = 0;
  let used = 0;
  for (const { folded, width, same } of inner) {
    let originalWidth = 0;
    for (let at = 0; at < width;) {
      const original = outer[index];
      if (original === undefined) break;
      const taken = Math.min(width - at, original.folded.length - used);
      const part = original.same ? taken : original.width;
      if (same) result.push({ folded: folded.slice(at, at + taken), width: part, same: original.same });
      originalWidth += part;
      at += taken;
      used += taken;
      if (used === original.folded.length) [index, used] = [index + 1, 0];
    }
    if (!same) result.push({ folded, width: originalWidth, same: false });
  }
  return result;
}

function textOf(stretches: readonly Stretch[]): string {
  return stretches.map(({ folded }) => folded).join("");
}
