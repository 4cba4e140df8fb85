import { badField } from "../errors/refusal.ts";
import type { ReadMembers } from "../request/read-members.ts";
import type { OutputField } from "../request/output-field.ts";
import { isObject, type JsonObject } from "../wire/json.ts";

const MAX_MODEL_CHARS = 256;
/** Bound of the output of one choice, to which larger values are lowered: no model writes more in one answer. */
const MAX_OUTPUT_TOKENS_PER_CHOICE = 1_000_000;

/** Reads the name of the model. @throws Refusal 400 */
export function readModel(body: JsonObject): string {
  const { model } = body;
  if (typeof model !== "string" || model.trim() === "") throw badField("model", "must be a string that names a model");
  if (model.length > MAX_MODEL_CHARS) throw badField("model", `must be at most ${MAX_MODEL_CHARS} characters long`);
  return model;
}

/** Reads a list of objects that must not be empty. @throws Refusal 400 */
export function readObjects(body: JsonObject, field: string): readonly JsonObject[] {
  const list = body[field];
  if (!Array.isArray(list) || list.length === 0) throw badField(field, "must be a non-empty array");
  return requireObjects(list, field);
}

/** Reads a list of objects; an empty one if it is missing or null. @throws Refusal 400 */
export function optionalObjects(body: JsonObject, field: string): readonly JsonObject[] {
  const list = body[field] ?? [];
  if (!Array.isArray(list)) throw badField(field, "must be an array");
  return requireObjects(list, field);
}

function requireObjects(list: readonly unknown[], field: string): readonly JsonObject[] {
  list.forEach((item, index) => {
    if (!isObject(item)) throw badField(`${field}[${index}]`, "must be an object");
  });
  return list as readonly JsonObject[];
}

/** Reads an output bound; undefined if it is not given. @throws Refusal 400 */
export function readOutputBound(body: JsonObject, field: OutputField): ReadMembers["output"] {
  const requested = optionalInteger(body, field, Number.MAX_SAFE_INTEGER);
  if (requested === undefined) return undefined;
  return { field, requested, bounded: Math.min(requested, MAX_OUTPUT_TOKENS_PER_CHOICE) };
}

/** Reads a boolean; undefined if it is missing or null. @throws Refusal 400 */
export function optionalBoolean(body: JsonObject, field: string, path = field): boolean | undefined {
  const value = body[field] ?? undefined;
  if (value !== undefined && typeof value !== "boolean") throw badField(path, "must be true or false");
  return value;
}

/** Reads a whole number from 1 to `max`; undefined if it is missing or null. @throws Refusal 400 */
export function optionalInteger(body: JsonObject, field: string, max: number): number | undefined {
  const value = body[field] ?? undefined;
  if (value === undefined) return undefined;
  // A whole number beyond every bound is valid: it is lowered later.
  const number = typeof value === "number" && value > max && max === Number.MAX_SAFE_INTEGER ? max : value;
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 1 && number <= max) return number;
  throw badField(
    field,
    max === Number.MAX_SAFE_INTEGER ? "must be a whole number >= 1" : `must be a whole number from 1 to ${max}`,
  );
}

/** True for a list with items. */
export function hasItems(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}
