import { type DescEnum, type DescMessage, type DescOneof, getOption } from "@bufbuild/protobuf";
import { messageRules, oneofRules } from "@routeplane/contracts/validate";
import { commentOf } from "../contracts.ts";
import { isRequired } from "../required-fields.ts";
import { type Direction, fieldSchema, type Schema } from "./field-schema.ts";

/**
 * Schema of a message. A message that occurs only in requests admits no other members, because an unknown field is refused; responses may
 * get new members.
 */
export function messageSchema(message: DescMessage, direction: Direction, isClosed: boolean): Schema {
  const rules = getOption(message, messageRules).cel.map((rule) => `It ${rule.message}.`);
  const required = direction === "request" ? message.fields.filter(isRequired).map(({ jsonName }) => jsonName) : [];
  const choices = direction === "request" ? message.oneofs.map(choiceOf) : [];
  return {
    type: "object",
    description: [commentOf(message), ...rules].join("\n\n").trim(),
    properties: Object.fromEntries(message.fields.map((field) => [field.jsonName, fieldSchema(field, direction)])),
    ...(required.length > 0 && { required }),
    ...(choices.length > 0 && { allOf: choices }),
    ...(isClosed && { additionalProperties: false }),
  };
}

export function enumSchema(enumeration: DescEnum): Schema {
  const values = enumeration.values.map((value) => `- \`${value.name}\`: ${oneLine(commentOf(value))}`);
  return {
    type: "string",
    description: `${commentOf(enumeration)}\n\n${values.join("\n")}`,
    enum: enumeration.values.map(({ name }) => name),
  };
}

export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** Rule that exactly one field of a oneof is set, or at most one if the oneof is optional. */
function choiceOf(oneof: DescOneof): Schema {
  const arms = oneof.fields.map(({ jsonName }) => ({ required: [jsonName] }));
  const mayBeAbsent = !getOption(oneof, oneofRules).required;
  return { oneOf: [...arms, ...(mayBeAbsent ? [{ not: { anyOf: arms } }] : [])] };
}
