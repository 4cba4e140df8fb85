import { type DescField, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import type { DescMessage } from "@bufbuild/protobuf";
import { holdsToken } from "@routeplane/credentials";

/**
 * Paths of the fields of a message, at any depth, that hold a token, e.g. `name` or `spec.patterns`: texts are stored, listed and
 * shown, which a token must not be. References are left out: a token in one is not stored, because it refers to nothing.
 */
export function strayTokens(schema: DescMessage, message: Message): readonly string[] {
  return tokensIn(reflect(schema, message), "");
}

function tokensIn(message: ReflectMessage, path: string): readonly string[] {
  return message.sortedFields
    .filter((field) => message.isSet(field) && !isReference(field))
    .flatMap((field) => {
      const fieldPath = path + field.name;
      switch (field.fieldKind) {
        case "scalar":
          return isText(field.scalar) && holdsToken(String(message.get(field))) ? [fieldPath] : [];
        case "message":
          return tokensIn(message.get(field), `${fieldPath}.`);
        case "list":
          return [...message.get(field)].some((value) => holds(value, fieldPath)) ? [fieldPath] : [];
        case "map":
          return [...message.get(field)].flat().some((value) => holds(value, fieldPath)) ? [fieldPath] : [];
        case "enum":
          return [];
      }
    });
}

function holds(value: unknown, fieldPath: string): boolean {
  if (typeof value === "string") return holdsToken(value);
  return isReflected(value) && tokensIn(value, `${fieldPath}.`).length > 0;
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "sortedFields" in value;
}

function isText(scalar: ScalarType): boolean {
  return scalar === ScalarType.STRING;
}

/** True if a field refers to something by id or name, which its own name shows. */
export function isReference({ name }: DescField): boolean {
  return /(^|_)(id|token|namespace|account)$/.test(name);
}
