import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { isReflectMessage, reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { type FieldRules, fieldRules } from "@routeplane/contracts/validate";
import { type FieldFault, invalidField, notFound } from "@routeplane/domain";
import { isReference } from "./stray-tokens.ts";

/** Bounds of a field: those that its schema states, else the defaults. */
export interface FieldBounds {
  /** Characters (code points) of a text, bytes of a bytes field; in a list, of each value. */
  readonly maxLength: number;
  /** Items of a list or map. */
  readonly maxItems: number;
  /** True if the field is an id or name of something and has the default bound: a longer one is answered NOT_FOUND. */
  readonly isReference: boolean;
}

/** Bounds of a field whose schema states none. */
const DEFAULTS = { maxLength: 1_000, maxItems: 1_000 };

/** Cache: reading an option decodes it from the bytes of the descriptor. */
const KNOWN = new WeakMap<DescField, FieldBounds>();

export function fieldBoundsOf(field: DescField): FieldBounds {
  const known = KNOWN.get(field);
  if (known !== undefined) return known;
  const { type } = getOption(field, fieldRules);
  const maxLength = lengthIn(type.case === "repeated" ? type.value.items?.type : type);
  const bounds = {
    maxLength: maxLength ?? DEFAULTS.maxLength,
    maxItems: itemsIn(type) ?? DEFAULTS.maxItems,
    isReference: maxLength === undefined && isReference(field),
  };
  KNOWN.set(field, bounds);
  return bounds;
}

/** An unset bound reads as 0. */
function lengthIn(type: FieldRules["type"] | undefined): number | undefined {
  if (type?.case !== "string" && type?.case !== "bytes") return undefined;
  return Number(type.value.maxLen || type.value.len) || undefined;
}

function itemsIn(type: FieldRules["type"]): number | undefined {
  if (type.case === "repeated") return Number(type.value.maxItems) || undefined;
  return type.case === "map" ? Number(type.value.maxPairs) || undefined : undefined;
}

/**
 * Refuses a message with a field, at any depth, that is longer than its bounds. Its cost does not depend on how much longer, so
 * that it comes before every rule that reads what is in a field, such as a pattern.
 *
 * @throws DomainError INVALID_ARGUMENT, or NOT_FOUND for a reference, as for any that refers to nothing
 */
export function requireWithinBounds(schema: DescMessage, message: Message): void {
  const fault = overlongIn(reflect(schema, message), "");
  if (fault !== undefined) throw fault.isReference ? notFound() : invalidField(fault.field, fault.rule);
}

interface BoundFault extends FieldFault {
  readonly isReference?: boolean;
}

function overlongIn(message: ReflectMessage, above: string): BoundFault | undefined {
  for (const field of message.sortedFields) {
    if (field.fieldKind === "enum" || !message.isSet(field)) continue;
    const path = above + field.name;
    const found = overlongValue(message.get(field), field, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

function overlongValue(value: unknown, field: DescField, path: string): BoundFault | undefined {
  const { maxLength, maxItems, isReference } = fieldBoundsOf(field);
  if (typeof value === "string") {
    if (isWithin(value, maxLength)) return undefined;
    return { field: path, rule: `must be at most ${maxLength} characters`, isReference };
  }
  if (value instanceof Uint8Array) {
    if (value.length <= maxLength) return undefined;
    return { field: path, rule: `must be at most ${maxLength} bytes` };
  }
  if (isReflectMessage(value)) return overlongIn(value, `${path}.`);
  if (!isCollection(value)) return undefined;
  if (value.size > maxItems) return { field: path, rule: `must contain no more than ${maxItems} items` };
  let index = 0;
  for (const item of value) {
    const found = overlongValue(item, field, `${path}[${index++}]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A list of values or, of a map, of its entries. */
function isCollection(value: unknown): value is Iterable<unknown> & { readonly size: number } {
  return typeof value === "object" && value !== null && Symbol.iterator in value && "size" in value;
}

/** A character is one or two units of a string's length. */
function isWithin(text: string, maxLength: number): boolean {
  if (text.length <= maxLength) return true;
  return text.length <= 2 * maxLength && Array.from(text).length <= maxLength;
}
