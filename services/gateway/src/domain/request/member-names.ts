import { endOfString, endOfValue, type Member, skipBlank } from "../wire/json-members.ts";
import { badField } from "../errors/refusal.ts";

/**
 * Refusal of member names that an upstream may read differently than the gateway. JSON.parse takes the last of several members
 * of a name, other parsers take the first; Go's encoding/json ignores case, and folds U+017F to s and U+212A to k. Wherever the
 * gateway reads a member, its name is printable ASCII, written once and in lower case.
 */

/** Rules for the names of an object, and of the objects in its members, each as a value or within a list. */
export interface ObjectNames {
  /** Names that must be written in lower case. */
  readonly known: ReadonlySet<string>;
  /** True for a name, in lower case, that must not be given twice. Every name by default. */
  readonly isUnique?: (name: string) => boolean;
  /** Rules for the objects in members, keyed by member name. */
  readonly within?: ReadonlyMap<string, ObjectNames>;
}

/** Rules for the names of the top level. */
type TopNames = ObjectNames & Required<Pick<ObjectNames, "isUnique">>;

/** Bound of a name in a message. */
const MAX_SHOWN_CHARS = 60;
/** Characters that are read between two yields. */
const STRETCH_CHARS = 1_000_000;

/**
 * Checks the names of the top level of a request and, in one pass, those of the objects in it that have rules. Schemas of tools, and
 * unknown values, may have any names.
 *
 * @param text a valid JSON object: the caller has parsed it
 * @param top rules of the top level, whose known names must not be given twice either
 * @returns a generator that yields within a long text, so that its caller can pause, and returns the members of the top level
 * @throws Refusal 400 that names the member
 */
export function* checkMemberNames(text: string, top: TopNames): Generator<undefined, readonly Member[]> {
  const members: Member[] = [];
  const { known, isUnique } = top;
  const names = { ...top, isUnique: (name: string) => known.has(name) || isUnique(name) };
  yield* new NameScan(text).object(skipBlank(text, 0), names, () => "", members);
  return members;
}

/** One pass over the names of a request. */
class NameScan {
  readonly #text: string;
  #pausedAt = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Checks the object that starts at `from`.
   *
   * @param into collects its members
   * @returns the position after it
   */
  *object(from: number, names: ObjectNames, path: () => string, into?: Member[]): Generator<undefined, number> {
    const text = this.#text;
    const seen = new Set<string>();
    let at = skipBlank(text, from + 1);
    while (text[at] !== "}") {
      const keyEnd = endOfString(text, at);
      const key = readName(text, at, keyEnd);
      checkName(key, names, seen, path);
      const start = skipBlank(text, skipBlank(text, keyEnd) + 1);
      const within = names.within?.get(key);
      const end =
        within === undefined ? endOfValue(text, start) : yield* this.value(start, within, () => memberOf(path(), key));
      into?.push({ key, nameStart: at, start, end });
      at = afterComma(text, end);
      if (end - this.#pausedAt < STRETCH_CHARS) continue;
      this.#pausedAt = end;
      yield;
    }
    return at + 1;
  }

  /** Checks the value at `from` if it is an object, or the objects in it if it is a list. @returns the position after it */
  *value(from: number, names: ObjectNames, path: () => string): Generator<undefined, number> {
    const text = this.#text;
    if (text[from] === "{") return yield* this.object(from, names, path);
    if (text[from] !== "[") return endOfValue(text, from);
    let at = skipBlank(text, from + 1);
    for (let index = 0; text[at] !== "]"; index++) {
      const isObject = text[at] === "{";
      const end = isObject ? yield* this.object(at, names, () => `${path()}[${index}]`) : endOfValue(text, at);
      at = afterComma(text, end);
    }
    return at + 1;
  }
}

function readName(text: string, start: number, end: number): string {
  const literal = text.slice(start, end);
  return literal.includes("\\") ? String(JSON.parse(literal)) : literal.slice(1, -1);
}

function checkName(key: string, { known, isUnique }: ObjectNames, seen: Set<string>, path: () => string): void {
  if (!isPrintable(key)) throw badField(memberOf(path(), key), "must be written in printable ASCII");
  const name = key.toLowerCase();
  if (isUnique === undefined || isUnique(name)) {
    if (seen.has(name)) throw badField(memberOf(path(), name), "is given twice");
    seen.add(name);
  }
  if (key !== name && known.has(name)) throw badField(memberOf(path(), key), `must be written '${name}'`);
}

function memberOf(path: string, name: string): string {
  return (path === "" ? "" : `${path}.`) + name.slice(0, MAX_SHOWN_CHARS);
}

function afterComma(text: string, from: number): number {
  const at = skipBlank(text, from);
  return text[at] === "," ? skipBlank(text, at + 1) : at;
}

/** True if a name is printable ASCII: parsers written in C end a name at a NUL. */
function isPrintable(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name);
}
