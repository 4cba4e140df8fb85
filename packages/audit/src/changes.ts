/** Value that changed. */
export interface Change {
  /** Path of the value, e.g. `spec.limit_micro_usd`. */
  readonly field: string;
  /** Value before; null if there was none. */
  readonly from: unknown;
  /** Value after; null if there is none. */
  readonly to: unknown;
}

/** Depth to which objects are compared field by field; deeper values are compared as a whole. */
const MAX_DEPTH = 4;

/** Lists the values that differ between the fields of an entry before and after, in their order. */
export function changesOf(before: object | undefined, after: object | undefined): readonly Change[] {
  const [was, is] = [partsOf(before ?? {}), partsOf(after ?? {})];
  return [...new Set([...was.keys(), ...is.keys()])]
    .map((field) => ({ field, from: was.get(field) ?? null, to: is.get(field) ?? null }))
    .filter(({ from, to }) => JSON.stringify(from) !== JSON.stringify(to));
}

/** Values of an object by their paths. */
function partsOf(value: object, above = "", depth = 1): ReadonlyMap<string, unknown> {
  const parts = new Map<string, unknown>();
  for (const [name, part] of Object.entries(value) as [string, unknown][]) {
    const path = `${above}${name}`;
    const isObject = typeof part === "object" && part !== null && !Array.isArray(part);
    if (!isObject || depth === MAX_DEPTH) parts.set(path, part);
    else for (const [inner, each] of partsOf(part, `${path}.`, depth + 1)) parts.set(inner, each);
  }
  return parts;
}
