import type { DescMessage, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

/**
 * Path of the first field of a binary message that is not in its schema, e.g. `spec.12`: such a field has a number and no name.
 * Undefined if there is none.
 */
export function unknownFieldPath(schema: DescMessage, message: Message): string | undefined {
  return unknownFieldIn(reflect(schema, message), "");
}

function unknownFieldIn(message: ReflectMessage, prefix: string): string | undefined {
  const [unknown] = message.getUnknown() ?? [];
  if (unknown !== undefined) return `${prefix}${unknown.no}`;
  for (const field of message.sortedFields) {
    if (field.message === undefined || !message.isSet(field)) continue;
    const path =
      field.fieldKind === "message"
        ? unknownFieldIn(message.get(field), `${prefix}${field.name}.`)
        : field.fieldKind === "list"
          ? firstUnknown([...message.get(field)], prefix + field.name)
          : undefined;
    if (path !== undefined) return path;
  }
  return undefined;
}

function firstUnknown(items: readonly unknown[], listPath: string): string | undefined {
  for (const [index, item] of items.entries()) {
    const path = unknownFieldIn(item as ReflectMessage, `${listPath}[${index}].`);
    if (path !== undefined) return path;
  }
  return undefined;
}
