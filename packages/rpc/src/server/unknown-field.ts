import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

/** A name that may be repeated to whoever sent it. */
const NAME = /^\w{1,64}$/;

/**
 * The path of the first field in the JSON of a message that the message does not have, as errors name fields. Undefined if
 * there is none, or its name is no name.
 */
export function unknownField(schema: DescMessage, json: unknown, above = ""): string | undefined {
  // Those of Google have a JSON of their own.
  if (!isObject(json) || schema.typeName.startsWith("google.protobuf.")) return undefined;
  for (const [name, value] of Object.entries(json)) {
    const field = schema.fields.find((each) => each.jsonName === name || each.name === name);
    if (field === undefined) return NAME.test(name) ? above + name : undefined;
    const found = unknownIn(field, value, above + field.name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function unknownIn(field: DescField, value: unknown, path: string): string | undefined {
  if (field.fieldKind === "message") return unknownField(field.message, value, `${path}.`);
  const schema = field.fieldKind === "list" ? field.message : undefined;
  if (schema === undefined) return undefined;
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  for (const [index, item] of items.entries()) {
    const found = unknownField(schema, item, `${path}[${index}].`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isObject(json: unknown): json is object {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** As `unknownField`, of a message that came in binary: there a field that is none has a number and no name. */
export function unknownNumber(schema: DescMessage, message: Message): string | undefined {
  return unknownNumberIn(reflect(schema, message), "");
}

function unknownNumberIn(message: ReflectMessage, above: string): string | undefined {
  const [unknown] = message.getUnknown() ?? [];
  if (unknown !== undefined) return `${above}${unknown.no}`;
  for (const field of message.sortedFields) {
    if (field.message === undefined || !message.isSet(field)) continue;
    const found =
      field.fieldKind === "message"
        ? unknownNumberIn(message.get(field), `${above}${field.name}.`)
        : field.fieldKind === "list"
          ? firstUnknown([...message.get(field)], above + field.name)
          : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function firstUnknown(items: readonly unknown[], path: string): string | undefined {
  for (const [index, item] of items.entries()) {
    const found = unknownNumberIn(item as ReflectMessage, `${path}[${index}].`);
    if (found !== undefined) return found;
  }
  return undefined;
}
