import type { DescField, DescMessage, JsonValue } from "@bufbuild/protobuf";
import { type FieldFault, parseTime } from "@routeplane/domain";

/**
 * Rules for times and durations in JSON that the library misreads: it moves a date that does not exist into the next month and an hour 24
 * into the next day, and ignores text after the seconds of a duration.
 */
const RULES: Readonly<Record<string, { readonly isMet: (text: string) => boolean; readonly rule: string }>> = {
  "google.protobuf.Timestamp": {
    isMet: (text) => parseTime(text) !== undefined,
    rule: "must be a time on a date that exists, in RFC 3339 with an offset, e.g. 2026-05-01T00:00:00Z",
  },
  "google.protobuf.Duration": {
    isMet: (text) => /^-?\d+(\.\d{1,9})?s$/.test(text),
    rule: 'must be seconds, e.g. "90s"',
  },
};

/** Cached results of `holdsTimes`: the fields of a message type are walked once. */
const CACHE = new WeakMap<DescMessage, boolean>();

/** True if a message may hold a time or a duration, at any depth. */
export function holdsTimes(schema: DescMessage, seen: ReadonlySet<DescMessage> = new Set()): boolean {
  const cached = CACHE.get(schema);
  if (cached !== undefined) return cached;
  if (seen.has(schema)) return false;
  const within = new Set(seen).add(schema);
  const holds = schema.fields.some(
    ({ message }) => message !== undefined && (message.typeName in RULES || holdsTimes(message, within)),
  );
  // The answer for a type that is within itself is known only for the outermost one.
  if (holds || seen.size === 0) CACHE.set(schema, holds);
  return holds;
}

/**
 * First invalid time or duration in the JSON of a message, with the path of its field.
 *
 * @param json JSON that the library reads as this message
 */
export function timeFault(schema: DescMessage, json: JsonValue, path = ""): FieldFault | undefined {
  if (!isObject(json)) return undefined;
  for (const field of schema.fields) {
    if (field.message === undefined) continue;
    for (const [value, at] of valuesOf(field, json[field.jsonName] ?? json[field.name])) {
      const fault = faultOf(field.message, value, `${path}${field.name}${at}`);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

/** Values of a field, each with the end of its path. */
function valuesOf({ fieldKind }: DescField, value: JsonValue | undefined): readonly [JsonValue, string][] {
  if (value === undefined || value === null) return [];
  if (fieldKind === "list") return Array.isArray(value) ? value.map((item, index) => [item, `[${index}]`]) : [];
  if (fieldKind !== "map") return [[value, ""]];
  // A key is quoted only if it is short and plain: it may hold anything.
  return Object.entries(isObject(value) ? value : {}).map(([key, item]) => [
    item,
    /^[\w.-]{1,64}$/.test(key) ? `[${JSON.stringify(key)}]` : "[…]",
  ]);
}

function faultOf(message: DescMessage, value: JsonValue, at: string): FieldFault | undefined {
  const known = RULES[message.typeName];
  if (known === undefined) return timeFault(message, value, `${at}.`);
  return typeof value === "string" && !known.isMet(value) ? { field: at, rule: known.rule } : undefined;
}

function isObject(json: JsonValue): json is { readonly [name: string]: JsonValue } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
