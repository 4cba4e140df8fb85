import { type DescField, type DescMessage, getOption, isMessage, type Message } from "@bufbuild/protobuf";
import { isReflectMessage, reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type FieldRules, fieldRules } from "@routeplane/contracts/validate";
import { type FieldFault, invalidField, notFound } from "@routeplane/domain";
import { isReference } from "./stray-tokens.ts";

/** Bounds of a field: those of its schema, else the defaults. */
export interface FieldBounds {
  /** Maximum code points of a text, or bytes of a bytes field; in a list, of each item. */
  readonly maxLength: number;
  /** Maximum items of a list, or entries of a map. */
  readonly maxItems: number;
  /** True if the field refers to something by id or name and has the default bound: a longer value is NOT_FOUND. */
  readonly isReference: boolean;
}

/** Bounds of a field whose schema states none. */
const DEFAULTS = { maxLength: 1_000, maxItems: 1_000 };

/** Cached bounds: reading an option decodes it from the bytes of the descriptor. */
const CACHE = new WeakMap<DescField, FieldBounds>();

export function fieldBoundsOf(field: DescField): FieldBounds {
  const cached = CACHE.get(field);
  if (cached !== undefined) return cached;
  const { type } = getOption(field, fieldRules);
  const maxLength = lengthIn(type.case === "repeated" ? type.value.items?.type : type);
  const bounds = {
    maxLength: maxLength ?? DEFAULTS.maxLength,
    maxItems: itemsIn(type) ?? DEFAULTS.maxItems,
    isReference: maxLength === undefined && isReference(field),
  };
  CACHE.set(field, bounds);
  return bounds;
}

/** Length bound of a rule; undefined if unset, which reads as 0. */
function lengthIn(type: FieldRules["type"] | undefined): number | undefined {
  if (type?.case !== "string" && type?.case !== "bytes") return undefined;
  return Number(type.value.maxLen || type.value.len) || undefined;
}

function itemsIn(type: FieldRules["type"]): number | undefined {
  if (type.case === "repeated") return Number(type.value.maxItems) || undefined;
  return type.case === "map" ? Number(type.value.maxPairs) || undefined : undefined;
}

/**
 * Refuses a message with a field, at any depth, that exceeds its bounds. The cost does not depend on the length of the field, so
 * this comes before every rule that reads the contents of a field, such as a pattern.
 *
 * @throws DomainError INVALID_ARGUMENT, or NOT_FOUND for a reference, as for one that refers to nothing
 */
export function requireWithinBounds(schema: DescMessage, message: Message): void {
  throwFault(boundFaultIn(reflect(schema, message), ""));
}

/** Refuses a value of a text or bytes field that exceeds its bounds, as `requireWithinBounds` does. */
export function requireWithinLength(value: unknown, bounds: FieldBounds, name: string): void {
  throwFault(lengthFault(value, bounds, name));
}

function throwFault(fault: BoundFault | undefined): void {
  if (fault !== undefined) throw fault.isReference ? notFound() : invalidField(fault.field, fault.rule);
}

interface BoundFault extends FieldFault {
  readonly isReference?: boolean;
}

function boundFaultIn(message: ReflectMessage, prefix: string): BoundFault | undefined {
  for (const field of message.sortedFields) {
    if (field.fieldKind === "enum" || !message.isSet(field)) continue;
    const path = prefix + field.name;
    const fault = valueFault(message.get(field), field, path);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function valueFault(value: unknown, field: DescField, path: string): BoundFault | undefined {
  const bounds = fieldBoundsOf(field);
  if (typeof value === "string" || value instanceof Uint8Array) return lengthFault(value, bounds, path);
  if (isReflectMessage(value)) {
    const rule = timeRuleBrokenBy(value.message);
    return rule === undefined ? boundFaultIn(value, `${path}.`) : { field: path, rule };
  }
  if (!isCollection(value)) return undefined;
  if (value.size > bounds.maxItems) {
    return { field: path, rule: `must contain no more than ${bounds.maxItems} items` };
  }
  let index = 0;
  for (const item of value) {
    const fault = valueFault(item, field, `${path}[${index++}]`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function lengthFault(value: unknown, { maxLength, isReference }: FieldBounds, path: string): BoundFault | undefined {
  if (typeof value === "string" && !isWithin(value, maxLength)) {
    return { field: path, rule: `must be at most ${maxLength} characters`, isReference };
  }
  if (value instanceof Uint8Array && value.length > maxLength) {
    return { field: path, rule: `must be at most ${maxLength} bytes` };
  }
  return undefined;
}

/** First and last second of the years 1 to 9999, and most seconds of a duration: what JSON can express of each. */
const TIME_SECONDS = [-62_135_596_800n, 253_402_300_799n] as const;
const DURATION_SECONDS = 315_576_000_000n;

/** Rule that a time or duration of a binary message breaks: JSON has none beyond these bounds. */
function timeRuleBrokenBy(message: Message): string | undefined {
  if (isMessage(message, TimestampSchema)) {
    const { seconds, nanos } = message;
    const isTime = seconds >= TIME_SECONDS[0] && seconds <= TIME_SECONDS[1] && nanos >= 0 && nanos < 1e9;
    return isTime ? undefined : "must be a time of the years 0001 to 9999";
  }
  if (!isMessage(message, DurationSchema)) return undefined;
  const { seconds, nanos } = message;
  const isBounded = seconds >= -DURATION_SECONDS && seconds <= DURATION_SECONDS && Math.abs(nanos) < 1e9;
  const hasOneSign = seconds === 0n || nanos === 0 || seconds > 0n === nanos > 0;
  return isBounded && hasOneSign ? undefined : "must be a duration of at most 10,000 years";
}

/** True for a list of values, and for a map, as a list of its entries. */
function isCollection(value: unknown): value is Iterable<unknown> & { readonly size: number } {
  return typeof value === "object" && value !== null && Symbol.iterator in value && "size" in value;
}

/** True if a text has at most `maxLength` code points, each of which is one or two UTF-16 code units. */
function isWithin(text: string, maxLength: number): boolean {
  if (text.length <= maxLength) return true;
  return text.length <= 2 * maxLength && Array.from(text).length <= maxLength;
}
