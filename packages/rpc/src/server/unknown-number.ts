import type { DescMessage, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

/**
 * The path of the first field of a message that came in binary and that its schema does not have: there it has a number and no
 * name. Undefined if there is none.
 */
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
