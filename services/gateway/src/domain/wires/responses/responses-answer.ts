import { addUnknownOutput } from "../../metering/answer-output.ts";
import type { OutputText } from "../../metering/output-text.ts";
import { errorWordsOf } from "../../response/answer-error.ts";
import { isObject, type JsonObject, parseJsonOrUndefined } from "../../wire/json.ts";
import type { SseEvent } from "../../wire/sse.ts";
import type { AnswerFormat, StreamFormat } from "../answer-format.ts";
import { TypedStreamGuard } from "../typed-stream-guard.ts";
import { AssembledResponse, eventsOf } from "./response-events.ts";
import { RESPONSES_PIECES } from "./responses-pieces.ts";

/** Types of the events that end an answer. */
const ENDS: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete"]);
/** Types of the events after which nothing is added to an answer, whether it is whole or failed: their usage is final. */
const LAST: ReadonlySet<unknown> = new Set([...ENDS, "response.failed"]);
const MAY_BE_END = /response\.(?:completed|incomplete)/;
/** Comment in the place of an end: the end of a response is an event that repeats it. */
const COMMENT: SseEvent = { raw: Buffer.from(":\n\n"), data: undefined };

/** Streams of the events of a response. */
const RESPONSES_STREAM: StreamFormat = {
  endOf: (event) => (MAY_BE_END.test(event.data ?? "") && ENDS.has(typeOf(event)) ? event : undefined),
  end: COMMENT,
  errorOf: errorWordsOf,
  finishedBy: ({ type }) => (LAST.has(type) ? [0] : []),
  isUnfinished: ({ type }) => !LAST.has(type),
  isUsageOnly: () => false,
  isLateUsage: () => false,
  hasFailed: () => false,
  openGuard: (responseGuard) => new TypedStreamGuard(responseGuard, RESPONSES_PIECES),
  eventsOf,
  assemble: () => new AssembledResponse(),
};

function typeOf({ data = "", name }: SseEvent): unknown {
  const json = parseJsonOrUndefined(data);
  return isObject(json) ? json["type"] : name;
}

/** Responses of OpenAI's API. */
export const RESPONSES_ANSWER: AnswerFormat = {
  noun: "a response",
  isAnswer: ({ output, object }) => Array.isArray(output) && (object === "response" || object === undefined),
  hasFailed: ({ status }) => status === "failed" || status === "cancelled",
  addOutput,
  stream: RESPONSES_STREAM,
};

/** Counts the output of an answer or of an event. Of the events only deltas count: others repeat text, or announce it. */
function addOutput(text: OutputText, answer: JsonObject): boolean {
  const { type, delta, output, item } = answer;
  if (typeof type === "string") {
    if (type.endsWith(".delta") && typeof delta === "string" && delta !== "") {
      text.addText(0, delta);
      return true;
    }
    if (type === "response.output_item.added" && isObject(item)) return addName(text, item);
    return false;
  }
  if (!Array.isArray(output)) return addUnknownOutput(text, answer);
  return output.reduce<boolean>((hasOutput, item) => (isObject(item) && addItem(text, item)) || hasOutput, false);
}

function addName(text: OutputText, { name }: JsonObject): boolean {
  if (typeof name !== "string" || name === "") return false;
  text.addOpaque(name);
  return true;
}

function addItem(text: OutputText, item: JsonObject): boolean {
  let hasOutput = addName(text, item);
  const add = (value: unknown): void => {
    if (typeof value !== "string" || value === "") return;
    text.addText(0, value);
    hasOutput = true;
  };
  add(item["arguments"]);
  add(item["input"]);
  for (const list of [item["summary"], item["content"]]) {
    if (!Array.isArray(list)) continue;
    for (const part of list) {
      if (!isObject(part)) continue;
      add(part["text"]);
      add(part["refusal"]);
    }
  }
  return hasOutput;
}
