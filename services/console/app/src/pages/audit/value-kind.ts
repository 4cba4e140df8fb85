/** Value of an audit entry in the form in which it is shown. */
export type ShownValue =
  | { readonly kind: "none" }
  | { readonly kind: "id"; readonly id: string }
  | { readonly kind: "time"; readonly date: Date }
  | { readonly kind: "money"; readonly microUsd: bigint }
  | { readonly kind: "list"; readonly items: readonly string[] }
  | { readonly kind: "text"; readonly text: string };

const ID = /^(?:key|pol|ns|bnd|op|acc|svc|ses)_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** Converts the value of a field to its shown form: ids become names, times are in the reader's zone, amounts in USD. */
export function shownValueOf(field: string, value: unknown): ShownValue {
  if (value === null || value === undefined) return { kind: "none" };
  if (typeof value === "string" && ID.test(value)) return { kind: "id", id: value };
  if (typeof value === "string" && field.endsWith("_at") && TIME.test(value) && !Number.isNaN(Date.parse(value)))
    return { kind: "time", date: new Date(value) };
  if (typeof value === "number" && field.endsWith("_micro_usd") && Number.isSafeInteger(value))
    return { kind: "money", microUsd: BigInt(value) };
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return { kind: "list", items: value };
  return { kind: "text", text: typeof value === "string" ? value : JSON.stringify(value, null, 2) };
}

/** Items of `after` that `before` does not have, if both are lists; empty for any other value. */
export function addedItems(before: ShownValue, after: ShownValue): ReadonlySet<string> {
  if (before.kind !== "list" || after.kind !== "list") return new Set();
  const known = new Set(before.items);
  return new Set(after.items.filter((item) => !known.has(item)));
}
