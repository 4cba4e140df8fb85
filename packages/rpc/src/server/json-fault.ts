import { type DescField, type DescMessage, fromJson, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import type { FieldFault } from "@routeplane/domain";

/** Parser options that refuse unknown fields. */
export const STRICT_JSON = { ignoreUnknownFields: false };

/** Field name that may be quoted in an error. */
const QUOTABLE_NAME = /^\w{1,64}$/;

/**
 * First fault in the JSON of a message, with the path of its field; the path of the message itself is empty. Quotes nothing of
 * the request but names of fields. Undefined if there is no fault that can be named.
 */
export function jsonFault(schema: DescMessage, json: unknown, path = ""): FieldFault | undefined {
  if (!isObject(json)) return { field: path, rule: "must be an object" };
  const seen = new Set<object>();
  for (const [name, value] of Object.entries(json)) {
    const field = schema.fields.find((candidate) => candidate.jsonName === name || candidate.name === name);
    if (field === undefined)
      return QUOTABLE_NAME.test(name) ? { field: within(path, name), rule: "is not known" } : undefined;
    const at = within(path, field.name);
    if (seen.has(field)) return { field: at, rule: "is given twice, under both spellings of its name" };
    if (field.oneof !== undefined && seen.has(field.oneof)) return { field: path, rule: onlyOneOf(field.oneof.fields) };
    seen.add(field).add(field.oneof ?? field);
    const fault = faultIn(field, value, at);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultIn(field: DescField, value: JsonValue, at: string): FieldFault | undefined {
  // Null stands for an unset field.
  if (value === null || field.fieldKind === "map") return undefined;
  if (field.fieldKind !== "list") return faultOf(field, value, at, value);
  if (!Array.isArray(value)) return { field: at, rule: "must be a list" };
  for (const [index, item] of value.entries()) {
    const fault = faultOf(field, item, `${at}[${index}]`, [item]);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** @param alone value that the field would have with this item alone */
function faultOf(field: DescField, value: JsonValue, at: string, alone: JsonValue): FieldFault | undefined {
  const { message } = field;
  // The well-known types have a JSON form of their own.
  if (message !== undefined && !message.typeName.startsWith("google.protobuf.")) return jsonFault(message, value, at);
  try {
    fromJson(field.parent, { [field.jsonName]: alone }, STRICT_JSON);
    return undefined;
  } catch {
    return { field: at, rule: ruleOf(field) };
  }
}

/** Rule on the type of a field's values, as a predicate: "must be …". */
export function ruleOf({ message, enum: enumeration, scalar }: DescField): string {
  if (message !== undefined) return WELL_KNOWN[message.typeName] ?? "must be an object";
  if (enumeration !== undefined) {
    // The zero value stands for an unset field.
    return `must be one of ${enumeration.values.flatMap(({ name, number }) => (number === 0 ? [] : [name])).join(", ")}`;
  }
  return (scalar && SCALARS[scalar]) ?? "must be a number";
}

const WELL_KNOWN: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": "must be an RFC 3339 time with an offset, e.g. 2026-05-01T00:00:00Z",
  "google.protobuf.Duration": 'must be seconds, e.g. "90s"',
  "google.protobuf.FieldMask": "must be names of fields as JSON spells them, with commas between them",
};

const SCALARS: Readonly<Partial<Record<ScalarType, string>>> = {
  [ScalarType.STRING]: "must be a text",
  [ScalarType.BOOL]: "must be true or false",
  [ScalarType.BYTES]: "must be bytes in base64",
  [ScalarType.INT32]: "must be a whole number of at most 32 bits",
  [ScalarType.INT64]: "must be a whole number of at most 64 bits",
};

/** Rule on the fields of a oneof. */
export function onlyOneOf(fields: readonly DescField[]): string {
  return `must set exactly one of ${fields.map(({ name }) => name).join(", ")}`;
}

function within(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function isObject(json: unknown): json is Readonly<Record<string, JsonValue>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
