/** Values that cannot be converted to a text, a number or a key, and others of no expected type. */
export const HOSTILE: readonly unknown[] = [
  { toString: 1, valueOf: 1 },
  [{ toString: 1 }],
  null,
  1e308,
  -1,
  true,
  "",
  "x",
  [],
  {},
];

/** Copies of a value, each with one place of it replaced. */
export function* replaced(value: unknown, by: unknown): Generator {
  yield by;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) for (const inner of replaced(item, by)) yield value.with(index, inner);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value))
      for (const inner of replaced(member, by)) yield { ...value, [name]: inner };
  }
}
