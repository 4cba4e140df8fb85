import { type DescField, type DescMessage, fromJson, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import type { FieldFault } from "@routeplane/domain";

/** A field that is not in the schema is a caller's mistake, and is named. */
export const STRICT_JSON = { ignoreUnknownFields: false };

/** A name that may be repeated to whoever sent it. */
const NAME = /^\w{1,64}$/;

/**
 * The first fault in the JSON of a message, with the path of its field as errors name fields; the path of the message as a
 * whole is empty. Says nothing that was sent but the names of fields. Undefined if it finds none that may be told.
 */
export function jsonFault(schema: DescMessage, json: unknown, path = ""): FieldFault | undefined {
  if (!isObject(json)) return { field: path, rule: "must be an object" };
  const given = new Set<object>();
  for (const [name, value] of Object.entries(json)) {
    const field = schema.fields.find((each) => each.jsonName === name || each.name === name);
    if (field === undefined) return NAME.test(name) ? { field: within(path, name), rule: "is not known" } : undefined;
    const at = within(path, field.name);
    if (given.has(field)) return { field: at, rule: "is given twice, under both spellings of its name" };
    if (field.oneof !== undefined && given.has(field.oneof))
      return { field: path, rule: onlyOneOf(field.oneof.fields) };
    given.add(field).add(field.oneof ?? field);
    const fault = faultIn(field, value, at);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultIn(field: DescField, value: JsonValue, at: string): FieldFault | undefined {
  // Null is a field that is not given.
  if (value === null || field.fieldKind === "map") return undefined;
  if (field.fieldKind !== "list") return faultOf(field, value, at, value);
  if (!Array.isArray(value)) return { field: at, rule: "must be a list" };
  for (const [index, item] of value.entries()) {
    const fault = faultOf(field, item, `${at}[${index}]`, [item]);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** @param alone what the field would be given if this were all of it */
function faultOf(field: DescField, value: JsonValue, at: string, alone: JsonValue): FieldFault | undefined {
  const { message } = field;
  // Those of Google have a JSON of their own.
  if (message !== undefined && !message.typeName.startsWith("google.protobuf.")) return jsonFault(message, value, at);
  try {
    fromJson(field.parent, { [field.jsonName]: alone }, STRICT_JSON);
    return undefined;
  } catch {
    return { field: at, rule: ruleOf(field) };
  }
}

/** What a value of the field must look like, whatever else holds for it. */
export function ruleOf({ message, enum: enumeration, scalar }: DescField): string {
  if (message !== undefined) return WELL_KNOWN[message.typeName] ?? "must be an object";
  if (enumeration !== undefined) {
    // The first one stands for a field that is not given.
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

/** Of fields of which a message has one. */
export function onlyOneOf(fields: readonly DescField[]): string {
  return `must set exactly one of ${fields.map(({ name }) => name).join(", ")}`;
}

function within(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function isObject(json: unknown): json is Readonly<Record<string, JsonValue>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
