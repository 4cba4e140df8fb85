/** Finder of the output within a choice of an answer: what its model made, under whatever name. */
import { isObject, type JsonObject } from "../wire/json.ts";
import type { OutputText } from "./output-text.ts";
import { USAGE_PLACES } from "./usage-names.ts";

/** Members of a choice that are no output, or say the same again. */
const NO_OUTPUT = new Set([
  "index",
  "finish_reason",
  "native_finish_reason",
  "stop_reason",
  "matched_stop",
  "finish_details",
  "logprobs",
  "content_filter_results",
  "content_filter_result",
  "usage",
  "error",
]);
/** Members of a message whose texts are all of the model, token by token. */
const TEXT_MEMBERS = new Set([
  "content",
  "text",
  "reasoning_content",
  "reasoning",
  "refusal",
  "tool_calls",
  "function_call",
]);
/** Names of texts within those. Others there may be copies of what others wrote, e.g. of a web page that is cited. */
const TEXTS = new Set([...TEXT_MEMBERS, "arguments", "thinking", "input"]);
/** Members that are not output, but say what it is. */
const LABELS = new Set(["role", "type", "id", "object", "format", "status", "model", "phase", "provider"]);
/** Members of an answer that are not output. */
const FACTS = new Set(["error", "errors", "detail", "system_fingerprint", "service_tier", "created"]);
/** Members that hold audio or an image in base64. */
const MEDIA = new Set(["data", "b64_json"]);

/** Adds the output of a choice to a count. @returns true if there is any */
export function addOutput(text: OutputText, choice: JsonObject, index: number): boolean {
  const walk = new OutputWalk(text, index);
  for (const name in choice) {
    if (NO_OUTPUT.has(name)) continue;
    const value = choice[name];
    if (!isObject(value)) walk.add(name, value, name === "text");
    else for (const member in value) walk.add(member, value[member], TEXT_MEMBERS.has(member));
  }
  return walk.hasOutput;
}

/** Adds all that an answer of unknown shape says. @returns true if there is anything */
export function addUnknownOutput(text: OutputText, answer: JsonObject): boolean {
  const walk = new OutputWalk(text, 0);
  for (const name in answer) {
    if (!FACTS.has(name) && !isUsagePlace(name)) walk.add(name, answer[name], false);
  }
  return walk.hasOutput;
}

const USAGE_MEMBERS = new Set(USAGE_PLACES.map((path) => path.split(".")[0]));

function isUsagePlace(name: string): boolean {
  return name !== "message" && name !== "response" && USAGE_MEMBERS.has(name);
}

class OutputWalk {
  readonly #text: OutputText;
  readonly #choice: number;
  /** Texts of the choice: several servers send reasoning under two names at once. */
  readonly #seen: string[] = [];

  constructor(text: OutputText, choice: number) {
    this.#text = text;
    this.#choice = choice;
  }

  get hasOutput(): boolean {
    return this.#seen.length > 0;
  }

  /** @param isOfModel true if no member around it may hold what others wrote */
  add(name: string, value: unknown, isOfModel: boolean): void {
    if (value === null || value === "") return;
    if (typeof value === "string") this.#addString(name, value, isOfModel);
    else if (Array.isArray(value)) for (const item of value) this.add(name, item, isOfModel);
    else if (isObject(value)) {
      for (const member in value) this.add(member, value[member], isOfModel && !member.startsWith("annotation"));
    }
  }

  #addString(name: string, text: string, isOfModel: boolean): void {
    if (LABELS.has(name) || this.#isSeen(text)) return;
    this.#seen.push(text);
    if (isOfModel && TEXTS.has(name)) this.#text.addText(this.#choice, text);
    else if (MEDIA.has(name)) this.#text.addMedia(text);
    else this.#text.addOpaque(text);
  }

  #isSeen(text: string): boolean {
    return this.#seen.length < MAX_SEEN && this.#seen.includes(text);
  }
}

/** Texts of a choice that are compared: a message has a handful. */
const MAX_SEEN = 16;
