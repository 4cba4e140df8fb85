import { CliError, ExitCode } from "../errors.ts";

/** Reads JSON that someone wrote, field by field. Whatever is wrong is refused with its path and the rule. */

/** The largest number that is exact in every JSON reader, rounded. */
const MAX_INTEGER = 9_000_000_000_000_000;

export function specFault(path: string, rule: string): CliError {
  return new CliError(ExitCode.usage, "invalid_argument", "FIELD_INVALID", `${path}: ${rule}`, {
    fields: [{ field: path, rule }],
  });
}

/** An object with none but these fields. */
export function objectAt<Name extends string>(
  value: unknown,
  path: string,
  what: string,
  names: readonly Name[],
): Readonly<Partial<Record<Name, unknown>>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw specFault(path, `must be an object: a ${what} has ${names.join(", ")}`);
  }
  const stranger = Object.keys(value).find((name) => !names.includes(name as Name));
  if (stranger !== undefined) {
    throw specFault(`${path}.${stranger}`, `is not known: a ${what} has ${names.join(", ")}`);
  }
  return value as Readonly<Partial<Record<Name, unknown>>>;
}

export function arrayAt<T>(value: unknown, path: string, read: (item: unknown, path: string) => T): T[] {
  if (!Array.isArray(value)) throw specFault(path, "must be a list");
  return value.map((item: unknown, index) => read(item, `${path}[${index}]`));
}

export function textAt(value: unknown, path: string): string {
  if (typeof value !== "string") throw specFault(path, "must be a text");
  return value;
}

export function booleanAt(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw specFault(path, "must be true or false");
  return value;
}

/** Every number of a spec is a whole one above 0. */
export function integerAt(value: unknown, path: string, max = MAX_INTEGER): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw specFault(path, `must be a whole number from 1 to ${max}`);
}

export function wordAt<Value>(value: unknown, path: string, words: Readonly<Record<string, Value>>): Value {
  const found = typeof value === "string" && Object.hasOwn(words, value) ? words[value] : undefined;
  if (found === undefined) throw specFault(path, `must be one of ${Object.keys(words).join(", ")}`);
  return found;
}
