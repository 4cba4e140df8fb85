import { type DescField, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import type { DescMessage } from "@bufbuild/protobuf";
import { holdsToken } from "@routeplane/credentials";

/**
 * The fields of a message, at any depth, that hold a token: a name is kept, listed and shown, and a token is not to be. What
 * refers to something is left out, because there a token is as unknown as any other text.
 *
 * @returns their paths, e.g. `name` or `spec.patterns`
 */
export function strayTokens(schema: DescMessage, message: Message): readonly string[] {
  return tokensIn(reflect(schema, message), "");
}

function tokensIn(message: ReflectMessage, path: string): readonly string[] {
  return message.sortedFields
    .filter((field) => message.isSet(field) && !isReference(field))
    .flatMap((field) => {
      const place = path + field.name;
      switch (field.fieldKind) {
        case "scalar":
          return isText(field.scalar) && holdsToken(String(message.get(field))) ? [place] : [];
        case "message":
          return tokensIn(message.get(field), `${place}.`);
        case "list":
          return [...message.get(field)].some((value) => holds(value, place)) ? [place] : [];
        case "map":
          return [...message.get(field)].flat().some((value) => holds(value, place)) ? [place] : [];
        case "enum":
          return [];
      }
    });
}

function holds(value: unknown, place: string): boolean {
  if (typeof value === "string") return holdsToken(value);
  return isReflected(value) && tokensIn(value, `${place}.`).length > 0;
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "sortedFields" in value;
}

function isText(scalar: ScalarType): boolean {
  return scalar === ScalarType.STRING;
}

/** Tells by its name whether a field refers to something by id or name. */
export function isReference({ name }: DescField): boolean {
  return /(^|_)(id|token|namespace|account)$/.test(name);
}
