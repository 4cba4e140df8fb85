/** Checked access to the members of a request's body. Everything throws `Untranslatable`. */
import { isObject, type JsonObject } from "./json.ts";
import { NOT_CARRIED, Untranslatable } from "./untranslatable.ts";

/** Maximum length of a name in a refusal. */
const MAX_SHOWN_CHARS = 60;

/** Path of a member. */
export function memberOf(at: string, name: string): string {
  return `${at}${at === "" ? "" : "."}${name.slice(0, MAX_SHOWN_CHARS)}`;
}

/** True for a member that is left out or null, which is the same on all wires. */
export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function requireObject(value: unknown, at: string): JsonObject {
  if (!isObject(value)) throw new Untranslatable(at, "must be an object");
  return value;
}

export function requireList(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Untranslatable(at, "must be a list");
  return value;
}

export function requireText(value: unknown, at: string): string {
  if (typeof value !== "string") throw new Untranslatable(at, "must be a string");
  return value;
}

/** Text of a member. @returns undefined if it is absent */
export function textMember(holder: JsonObject, name: string, at: string): string | undefined {
  const value = holder[name];
  return isAbsent(value) ? undefined : requireText(value, memberOf(at, name));
}

export function booleanMember(holder: JsonObject, name: string, at: string): boolean | undefined {
  const value = holder[name];
  if (isAbsent(value)) return undefined;
  if (typeof value !== "boolean") throw new Untranslatable(memberOf(at, name), "must be true or false");
  return value;
}

export function objectMember(holder: JsonObject, name: string, at: string): JsonObject | undefined {
  const value = holder[name];
  return isAbsent(value) ? undefined : requireObject(value, memberOf(at, name));
}

/**
 * Refuses unknown members, unless they are null: they would be lost silently on the upstream's wire.
 *
 * @param isEmpty true for a value of a member that has no effect
 */
export function requireKnown(
  holder: JsonObject,
  known: ReadonlySet<string>,
  at: string,
  isEmpty: (name: string, value: unknown) => boolean = () => false,
): void {
  for (const [name, value] of Object.entries(holder)) {
    if (known.has(name) || isAbsent(value) || isEmpty(name, value)) continue;
    throw new Untranslatable(memberOf(at, name), NOT_CARRIED);
  }
}
