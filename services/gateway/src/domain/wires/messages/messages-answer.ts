import { addUnknownOutput } from "../../metering/answer-output.ts";
import type { OutputText } from "../../metering/output-text.ts";
import { errorWordsOf } from "../../response/answer-error.ts";
import { isObject, type JsonObject, parseJsonOrUndefined } from "../../wire/json.ts";
import { formatNamedSse, type SseEvent } from "../../wire/sse.ts";
import type { AnswerFormat, StreamFormat } from "../answer-format.ts";
import { TypedStreamGuard } from "../typed-stream-guard.ts";
import { AssembledMessage, eventsOf } from "./message-events.ts";
import { MESSAGES_PIECES } from "./messages-pieces.ts";

const STOP = '{"type":"message_stop"}';

/** Streams of the events of a message. */
const MESSAGES_STREAM: StreamFormat = {
  endOf: (event) => (isStop(event) ? event : undefined),
  end: { raw: formatNamedSse("message_stop", STOP), data: STOP, name: "message_stop" },
  errorOf: errorWordsOf,
  finishedBy: (event) => (hasStopReason(event) ? [0] : []),
  isUnfinished: (event) => !hasStopReason(event) && event["type"] !== "message_stop",
  isUsageOnly: () => false,
  isLateUsage: (data) => /"usage"\s*:\s*\{/.test(data) && !/"content_block/.test(data),
  hasFailed: () => false,
  openGuard: (responseGuard) => new TypedStreamGuard(responseGuard, MESSAGES_PIECES),
  eventsOf,
  assemble: () => new AssembledMessage(),
};

/** Messages of Anthropic's API. */
export const MESSAGES_ANSWER: AnswerFormat = {
  noun: "a message",
  isAnswer: ({ content, type }) => Array.isArray(content) && (type === "message" || type === undefined),
  hasFailed: () => false,
  addOutput,
  stream: MESSAGES_STREAM,
};

function isStop({ data = "", name }: SseEvent): boolean {
  if (name !== "message_stop" && !data.includes("message_stop")) return false;
  const json = parseJsonOrUndefined(data);
  return isObject(json) ? json["type"] === "message_stop" : name === "message_stop";
}

function hasStopReason({ type, delta }: JsonObject): boolean {
  return type === "message_delta" && isObject(delta) && typeof delta["stop_reason"] === "string";
}

/** Events without output. */
const WITHOUT_OUTPUT = new Set<unknown>(["ping", "content_block_stop", "message_delta", "message_stop", "error"]);

function addOutput(text: OutputText, answer: JsonObject): boolean {
  const { type, delta, content_block: block, message, content } = answer;
  if (WITHOUT_OUTPUT.has(type)) return false;
  if (type === "content_block_delta" && isObject(delta)) return addBlock(text, delta);
  if (type === "content_block_start" && isObject(block)) return addBlock(text, block);
  const whole = type === "message_start" && isObject(message) ? message["content"] : content;
  if (!Array.isArray(whole)) return addUnknownOutput(text, answer);
  return whole.reduce<boolean>((hasOutput, part) => (isObject(part) && addBlock(text, part)) || hasOutput, false);
}

/** Members of a block, or a delta of one, whose text the model generated. Cited text, and results of tools, are of others. */
const TEXTS = ["text", "thinking", "partial_json"];

function addBlock(text: OutputText, block: JsonObject): boolean {
  let hasOutput = false;
  for (const name of TEXTS) {
    const value = block[name];
    if (typeof value !== "string" || value === "") continue;
    text.addText(0, value);
    hasOutput = true;
  }
  const { type, name, input, data } = block;
  if (type === "redacted_thinking" && typeof data === "string") text.addOpaque(data);
  if (typeof name !== "string") return hasOutput || type === "redacted_thinking";
  text.addOpaque(name);
  if (isObject(input) && Object.keys(input).length > 0) text.addText(0, JSON.stringify(input));
  return true;
}
