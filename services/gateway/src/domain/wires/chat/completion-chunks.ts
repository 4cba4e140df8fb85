import { isObject, type JsonObject } from "../../wire/json.ts";

/** Members of an answer that are in each of its chunks. */
const HEAD = ["id", "created", "model", "system_fingerprint", "service_tier"];

/**
 * Chunks of a whole completion, as its upstream would have streamed it: for each choice its message and its finish reason, then
 * the usage.
 *
 * @param completion a completion with a list of choices
 * @param usage usage object for the last chunk; undefined if the client is to get none
 */
export function* chunksOf(completion: JsonObject, usage: unknown): Generator<JsonObject> {
  const named = Object.fromEntries(HEAD.flatMap((name) => (name in completion ? [[name, completion[name]]] : [])));
  const head = { ...named, object: "chat.completion.chunk" };
  const choices = Array.isArray(completion["choices"]) ? completion["choices"].filter(isObject) : [];
  for (const [position, choice] of choices.entries()) {
    const { index = position, message, finish_reason: reason, logprobs, delta = message, text, ...more } = choice;
    const content = isObject(delta) ? delta : { role: "assistant", content: text };
    yield { ...head, choices: [{ index, delta: deltaOf(content), logprobs: logprobs ?? null, finish_reason: null }] };
    yield {
      ...head,
      choices: [{ ...more, index, delta: {}, finish_reason: isObject(reason) ? "stop" : (reason ?? "stop") }],
    };
  }
  if (usage !== undefined) yield { ...head, choices: [], usage };
}

/** Delta with all of a message. Tool calls have their position as an index, by which clients join their parts. */
function deltaOf(message: JsonObject): JsonObject {
  const { tool_calls: calls, ...rest } = message;
  const present = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== undefined));
  const indexed = Array.isArray(calls) && calls.length > 0 ? calls.map(withIndex) : undefined;
  return { role: "assistant", ...present, ...(indexed && { tool_calls: indexed }) };
}

function withIndex(call: unknown, index: number): JsonObject {
  return isObject(call) ? { index, ...call } : { index };
}

/** Members that name something: repeated, not continued, by the chunks after the first one. */
const NAMES: ReadonlySet<string> = new Set(["id", "object", "role", "type", "finish_reason", "model", "signature"]);

/** Whole completion that is made of the chunks of a stream. */
export class AssembledCompletion {
  readonly #head: JsonObject = {};
  readonly #choices = new Map<unknown, JsonObject>();

  /** Adds the next chunk. */
  add(chunk: JsonObject): void {
    const { choices, ...head } = chunk;
    for (const [name, value] of Object.entries(head)) if (value !== null) define(this.#head, name, value);
    if (!Array.isArray(choices)) return;
    choices.forEach((choice, position) => {
      if (!isObject(choice)) return;
      const { index = position, delta, message = delta, ...rest } = choice;
      const known = this.#choices.get(index) ?? { index, message: { role: "assistant", content: null } };
      this.#choices.set(index, known);
      join(known, { ...rest, message: isObject(message) ? message : {} });
    });
  }

  /** The completion so far. */
  toJson(): JsonObject {
    const choices = [...this.#choices.values()].map(toChoice);
    return { ...this.#head, object: "chat.completion", choices };
  }
}

function toChoice({ message, ...rest }: JsonObject): JsonObject {
  const { tool_calls: calls, ...content } = isObject(message) ? message : {};
  const listed = Array.isArray(calls) ? calls.map(withoutIndex) : undefined;
  return { ...rest, message: { ...content, ...(listed && { tool_calls: listed }) } };
}

function withoutIndex(call: unknown): unknown {
  if (!isObject(call)) return call;
  const { index: _, ...rest } = call;
  return rest;
}

/** Joins a piece to what came before it: texts are continued, lists by the index of their elements, objects by their members. */
function join(known: JsonObject, piece: JsonObject): void {
  for (const [name, value] of Object.entries(piece)) {
    const before = Object.hasOwn(known, name) ? known[name] : undefined;
    if (value === null || value === undefined) {
      if (before === undefined) define(known, name, null);
    } else if (typeof value === "string" && typeof before === "string") {
      const isRepeated = NAMES.has(name) || (name === "name" && value === before);
      define(known, name, isRepeated ? value || before : before + value);
    } else if (Array.isArray(value) && Array.isArray(before)) joinLists(before, value);
    else if (Array.isArray(value)) {
      const list: unknown[] = [];
      joinLists(list, value);
      define(known, name, list);
    } else if (isObject(value) && isObject(before)) join(before, value);
    else define(known, name, value);
  }
}

/** Elements of each list by their index: a search for each would take time by the square of their number. */
const elementsOf = new WeakMap<unknown[], Map<unknown, JsonObject>>();

function joinLists(known: unknown[], piece: readonly unknown[]): void {
  const elements = elementsOf.get(known) ?? new Map<unknown, JsonObject>();
  elementsOf.set(known, elements);
  for (const element of piece) {
    const before = isObject(element) ? elements.get(element["index"]) : undefined;
    if (isObject(element) && before !== undefined) join(before, element);
    else if (isObject(element)) {
      const added = { ...element };
      known.push(added);
      if (added["index"] !== undefined) elements.set(added["index"], added);
    } else known.push(element);
  }
}

/** Sets a member, also one of the name `__proto__`. */
function define(target: JsonObject, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}
