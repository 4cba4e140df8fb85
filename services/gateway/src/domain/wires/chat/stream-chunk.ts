import { isObject, type JsonObject } from "../../wire/json.ts";
import { positionOf } from "../event-position.ts";

/** Names of members and indices, from the root or from a choice. */
export type Path = readonly (string | number)[];

/** Position of a text in a chunk. */
export interface TextPlace {
  /** Index of the choice, as its member `index` says. */
  readonly choice: number;
  /** Path within the choice, with the indices that tool calls have as members. */
  readonly path: Path;
}

/** Replaces positions in arrays by the members `index` of choices and tool calls, which alone identify them across chunks. */
export function ownSteps(chunk: JsonObject, steps: Path): Path {
  let value: unknown = chunk;
  return steps.map((step) => {
    value = typeof value === "object" && value !== null ? (value as JsonObject)[step] : undefined;
    return typeof step === "number" ? indexOf(value, step) : step;
  });
}

/** Index that an element of a list has as a member; its position if it has none. */
export function indexOf(element: unknown, position: number): number {
  return positionOf(isObject(element) ? element["index"] : undefined) ?? position;
}

/** Members of a chunk that identify its answer. */
const HEAD = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/** Creates a chunk of the same answer as `last` with one text. */
export function chunkWith(last: JsonObject, { choice, path }: TextPlace, text: string): JsonObject {
  const head = Object.fromEntries(HEAD.flatMap((name) => (name in last ? [[name, last[name]]] : [])));
  const content = path.reduceRight<unknown>((inner, step) => {
    if (typeof step === "string") return { [step]: inner };
    return [isObject(inner) ? Object.assign({ index: step }, inner) : inner];
  }, text);
  return { ...head, choices: [{ index: choice, ...(content as JsonObject), logprobs: null, finish_reason: null }] };
}

/** True if an event has a line other than data. */
export function hasOtherFields(raw: Buffer): boolean {
  return /(?:^|[\r\n])(?!data(?:[:\r\n]|$))[^\r\n]/.test(raw.toString("latin1"));
}

/** Converts choices that are an object, which some clients read like a list, to a list. @returns the chunk and its JSON */
export function withListOfChoices(chunk: unknown, data: string): readonly [unknown, string] {
  if (!isObject(chunk) || !isObject(chunk["choices"])) return [chunk, data];
  const changed = { ...chunk, choices: Object.values(chunk["choices"]) };
  return [changed, JSON.stringify(changed)];
}
