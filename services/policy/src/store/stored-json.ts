/** Reads JSON that this service has stored. Whatever is not as it was written throws, and says where. */

export function unreadable(path: string, why: string): Error {
  return new Error(`a stored policy cannot be read: ${path} ${why}`);
}

/** An object with none but these fields. */
export function objectAt(value: unknown, path: string, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unreadable(path, "is not an object");
  const stranger = Object.keys(value).find((name) => !names.includes(name));
  if (stranger !== undefined) throw unreadable(`${path}.${stranger}`, "is not known");
  return value as Readonly<Record<string, unknown>>;
}

export function arrayAt<T>(value: unknown, path: string, read: (item: unknown, path: string) => T): readonly T[] {
  if (!Array.isArray(value)) throw unreadable(path, "is not a list");
  return value.map((item: unknown, index) => read(item, `${path}[${index}]`));
}

export function textAt(value: unknown, path: string): string {
  if (typeof value !== "string" || value === "") throw unreadable(path, "is not a text");
  return value;
}

export function booleanAt(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw unreadable(path, "is not true or false");
  return value;
}

/** Every number of a policy is a whole one above 0. */
export function integerAt(value: unknown, path: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0) {
    throw unreadable(path, "is not a whole number above 0");
  }
  return value;
}

export function oneOfAt<T extends string>(value: unknown, path: string, known: readonly T[]): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw unreadable(path, `is none of ${known.join(", ")}`);
  return found;
}
