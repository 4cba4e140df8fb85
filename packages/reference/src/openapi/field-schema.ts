import { type DescField, ScalarType } from "@bufbuild/protobuf";
import type { FieldRules } from "@routeplane/contracts/validate";
import { fieldBoundsOf } from "@routeplane/rpc/server";
import { commentOf } from "../contracts.ts";
import { rulesOf } from "../required-fields.ts";

/** JSON Schema, as OpenAPI 3.1 has it. */
export type Schema = { readonly [keyword: string]: unknown };

/** Direction of a message: requests have bounds, and numbers of 64 bits in them may be numbers or texts. */
export type Direction = "request" | "response";

type Rule = FieldRules["type"];

/** Schema of a field by its declaration, its rules and the default bounds of the services. */
export function fieldSchema(field: DescField, direction: Direction): Schema {
  const { rules, ignoresZero } = rulesOf(field);
  const description = [commentOf(field), ...rules.cel.map(({ message }) => sentence(message))].join("\n\n").trim();
  const rule = direction === "request" ? rules.type : NO_RULE;
  switch (field.fieldKind) {
    case "list": {
      const items = itemRule(rule);
      const bounds = direction === "request" ? listBounds(field, rule) : {};
      return { description, type: "array", items: valueSchema(field, items, direction), ...bounds };
    }
    case "map":
      return { description, type: "object", additionalProperties: valueSchema(field, NO_RULE, direction) };
    default:
      return { description, ...valueSchema(field, rule, direction, ignoresZero) };
  }
}

/** Name of the schema of a message or enum among the components: `auth.v1.Key`. */
export function schemaName(typeName: string): string {
  return typeName.replace(/^routeplane\./, "");
}

export function referTo(typeName: string): Schema {
  return { $ref: `#/components/schemas/${schemaName(typeName)}` };
}

const NO_RULE: Rule = { case: undefined };

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function itemRule(rule: Rule): Rule {
  return rule.case === "repeated" ? (rule.value.items?.type ?? NO_RULE) : NO_RULE;
}

function listBounds(field: DescField, rule: Rule): Schema {
  const { minItems, unique } = rule.case === "repeated" ? rule.value : { minItems: 0n, unique: false };
  return {
    ...(minItems > 0n && { minItems: Number(minItems) }),
    maxItems: fieldBoundsOf(field).maxItems,
    ...(unique && { uniqueItems: true }),
  };
}

function valueSchema(field: DescField, rule: Rule, direction: Direction, ignoresZero = false): Schema {
  if (field.message !== undefined) return WELL_KNOWN[field.message.typeName] ?? referTo(field.message.typeName);
  if (field.enum !== undefined) {
    const excluded = rule.case === "enum" ? rule.value.notIn : [];
    const names = field.enum.values.filter(({ number }) => excluded.includes(number)).map(({ name }) => name);
    return { ...referTo(field.enum.typeName), ...(names.length > 0 && { not: { enum: names } }) };
  }
  switch (field.scalar) {
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.STRING:
      return { type: "string", ...(direction === "request" && textBounds(field, rule, ignoresZero)) };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.INT32:
    case ScalarType.UINT32:
      return { type: "integer", format: "int32", ...numberBounds(rule, ignoresZero) };
    case ScalarType.INT64:
      if (direction === "response") return { type: "string", format: "int64", pattern: "^-?\\d{1,19}$" };
      return {
        type: ["integer", "string"],
        format: "int64",
        pattern: "^-?\\d{1,19}$",
        ...numberBounds(rule, ignoresZero),
      };
    default:
      throw new Error(`${String(field)}: a scalar that the contracts did not have before`);
  }
}

/** JSON forms of Google's messages. */
const WELL_KNOWN: Readonly<Record<string, Schema>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?\\d{1,12}(\\.\\d{1,9})?s$", examples: ["3600s"] },
  "google.protobuf.FieldMask": { type: "string", examples: ["name,scopes"] },
  "google.protobuf.Struct": { type: "object" },
};

function textBounds(field: DescField, rule: Rule, ignoresZero: boolean): Schema {
  const { maxLength, isReference } = fieldBoundsOf(field);
  const { minLen, in: values } = rule.case === "string" ? rule.value : { minLen: 0n, in: [] };
  return {
    ...(minLen > 0n && !ignoresZero && { minLength: Number(minLen) }),
    // A longer reference is not an invalid argument: it refers to nothing.
    ...(!isReference && { maxLength }),
    ...(values.length > 0 && { enum: values }),
  };
}

function numberBounds(rule: Rule, ignoresZero: boolean): Schema {
  if (rule.case !== "int32" && rule.case !== "int64") return {};
  const { greaterThan, lessThan } = rule.value;
  return {
    ...(greaterThan.case === "gt" && !ignoresZero && { exclusiveMinimum: Number(greaterThan.value) }),
    ...(greaterThan.case === "gte" && !ignoresZero && { minimum: Number(greaterThan.value) }),
    ...(lessThan.case === "lt" && { exclusiveMaximum: Number(lessThan.value) }),
    ...(lessThan.case === "lte" && { maximum: Number(lessThan.value) }),
  };
}
