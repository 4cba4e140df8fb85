import { foldStretches, lastStretchAt, sameStretch, type Stretch } from "./fold.ts";
import type { Work } from "./work.ts";

/**
 * JSON escape sequence. Texts that are JSON, such as the arguments of a tool call or a structured answer, are also matched with their
 * escapes decoded: to a parser, `\u0073ecret` is "secret".
 */
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/g;
/** Cost of decoding an escape, each time that its piece is read, in steps of `Work`. */
const ESCAPE_STEPS = 100;
/** Incomplete escape sequence at the end of a text. */
const INCOMPLETE = /\\(?:u[0-9a-fA-F]{0,3})?$/;

/** Folds a text with its escapes decoded. @returns undefined if it has no escapes */
export function foldEscapedStretches(text: string, work: Work): readonly Stretch[] | undefined {
  const escaped = unescapedStretches(text);
  if (escaped === undefined) return undefined;
  work.spend(ESCAPE_STEPS * escaped.length);
  const unescaped = textOf(escaped);
  const folded = foldStretches(unescaped, work) ?? [sameStretch(unescaped)];
  return compose(escaped, folded);
}

/** Index of the last stretch (see `lastStretchAt`) of a text with its escapes decoded; an incomplete escape is part of it. */
export function lastEscapedStretchAt(text: string): number {
  if (!text.includes("\\")) return lastStretchAt(text);
  const escaped = unescapedStretches(text) ?? [sameStretch(text)];
  const rest = escaped.at(-1);
  const incomplete = rest?.same === true ? INCOMPLETE.exec(rest.folded) : null;
  if (incomplete !== null) return lastEscapedStretchAt(text.slice(0, -incomplete[0].length));
  const last = lastStretchAt(textOf(escaped));
  let [at, originalAt] = [0, 0];
  for (const { folded, width, same } of escaped) {
    if (at + folded.length > last) return originalAt + (same ? last - at : 0);
    at += folded.length;
    originalAt += width;
  }
  return originalAt;
}

/** Decodes the escapes of a text. @returns undefined if the last one is incomplete */
export function unescape(text: string): string | undefined {
  const escaped = unescapedStretches(text) ?? [sameStretch(text)];
  const rest = escaped.at(-1);
  return rest?.same === true && INCOMPLETE.test(rest.folded) ? undefined : textOf(escaped);
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

/** Composes two mappings: `inner` maps the folded side of `outer`, so the result maps the original of `outer`. */
function compose(outer: readonly Stretch[], inner: readonly Stretch[]): readonly Stretch[] {
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
