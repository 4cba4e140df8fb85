/** Position that an event names, also one that is written as a text; undefined if it names none. */
export function positionOf(index: unknown): number | undefined {
  const number = typeof index === "string" && /^-?\d{1,9}$/.test(index) ? Number(index) : index;
  return typeof number === "number" ? number : undefined;
}
