import { LOGPROBS } from "./content-kinds.ts";
import { isObject, type JsonObject } from "../wire/json.ts";

/** Chunks of a stream as objects and as events. */

export type Path = readonly (string | number)[];

/** Where in a chunk a text stands. */
export interface TextPlace {
  /** The choice, by its own index. */
  readonly choice: number;
  /** Within the choice, with the tool calls' own indices. */
  readonly path: Path;
}

/** Chunks repeat the `index` of a choice and of a tool call; where they stand in their array says nothing. */
export function ownSteps(chunk: JsonObject, steps: Path): Path {
  let value: unknown = chunk;
  return steps.map((step) => {
    value = typeof value === "object" && value !== null ? (value as JsonObject)[step] : undefined;
    return typeof step === "number" ? indexOf(value, step) : step;
  });
}

export function indexOf(element: unknown, position: number): number {
  const index = isObject(element) ? element["index"] : undefined;
  const number = typeof index === "string" && /^-?\d{1,9}$/.test(index) ? Number(index) : index;
  return typeof number === "number" ? number : position;
}

/** Members of a value, and of all in it but what is judged as a whole. */
export function countMembers(value: unknown, place = ""): number {
  if (typeof value !== "object" || value === null || LOGPROBS.has(place)) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + countMembers(each, `${place}[]`), 0);
  const members = Object.entries(value);
  const within = (name: string): string => (place === "" ? name : `${place}.${name}`);
  return members.reduce((sum, [name, each]) => sum + countMembers(each, within(name)), members.length);
}

/** Members of a chunk that say which answer it belongs to. */
const HEAD = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/** A chunk like another one, with nothing but this text. */
export function chunkWith(last: JsonObject, { choice, path }: TextPlace, text: string): JsonObject {
  const head = Object.fromEntries(HEAD.flatMap((name) => (name in last ? [[name, last[name]]] : [])));
  const content = path.reduceRight<unknown>((inner, step) => {
    if (typeof step === "string") return { [step]: inner };
    return [isObject(inner) ? Object.assign({ index: step }, inner) : inner];
  }, text);
  return { ...head, choices: [{ index: choice, ...(content as JsonObject), logprobs: null, finish_reason: null }] };
}

/** True if an event has any line but its data. */
export function hasOtherFields(raw: Buffer): boolean {
  return /(?:^|[\r\n])(?!data(?:[:\r\n]|$))[^\r\n]/.test(raw.toString("latin1"));
}

export function withData(data: string): Buffer {
  return Buffer.from(
    `${data
      .split("\n")
      .map((line) => `data: ${line}`)
      .join("\n")}\n\n`,
  );
}

/** A chunk whose choices are an object, whose members some clients read like a list, with a list of them. */
export function withListOfChoices(chunk: unknown, data: string): readonly [unknown, string] {
  if (!isObject(chunk) || !isObject(chunk["choices"])) return [chunk, data];
  const changed = { ...chunk, choices: Object.values(chunk["choices"]) };
  return [changed, JSON.stringify(changed)];
}
