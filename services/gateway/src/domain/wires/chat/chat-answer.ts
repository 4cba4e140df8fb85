import { addOutput, addUnknownOutput } from "../../metering/answer-output.ts";
import { errorWordsOf, hasFailedChoice } from "../../response/answer-error.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";
import { formatSse, type SseEvent } from "../../wire/sse.ts";
import type { AnswerFormat, StreamFormat } from "../answer-format.ts";
import { AssembledCompletion, chunksOf } from "./completion-chunks.ts";
import { isFinished } from "./finish-reason.ts";
import { indexOf } from "./stream-chunk.ts";
import { CompletionStreamGuard } from "./stream-guard.ts";

/** Event that ends a stream of the OpenAI API. */
const DONE: SseEvent = { raw: formatSse("[DONE]"), data: "[DONE]" };

/** Streams of chat completion chunks. */
const CHAT_STREAM: StreamFormat = {
  endOf: (event) => (isEnd(event) ? (event.data === "[DONE]" ? event : DONE) : undefined),
  end: DONE,
  errorOf: errorWordsOf,
  finishedBy({ choices }) {
    if (!Array.isArray(choices)) return undefined;
    return choices.flatMap((choice, position) => (isFinished(choice) ? [indexOf(choice, position)] : []));
  },
  isUnfinished: ({ choices }) =>
    Array.isArray(choices) && choices.some((choice) => isObject(choice) && !isFinished(choice)),
  // The chunk that `stream_options.include_usage` adds.
  isUsageOnly: ({ choices, usage }) => isObject(usage) && Array.isArray(choices) && choices.length === 0,
  isLateUsage: (data) => /"usage"\s*:\s*\{/.test(data) && !/"(?:delta|message)"\s*:/.test(data),
  hasFailed: (data) => FAILED.test(data),
  openGuard: (responseGuard, choices) => new CompletionStreamGuard(responseGuard, choices),
  *eventsOf(completion, usage) {
    for (const chunk of chunksOf(completion, usage)) {
      const data = JSON.stringify(chunk);
      yield { raw: formatSse(data), data };
    }
  },
  assemble: () => new AssembledCompletion(),
};

/** Chat completions. */
export const CHAT_ANSWER: AnswerFormat = {
  noun: "a chat completion",
  isAnswer: ({ choices }) => Array.isArray(choices),
  hasFailed: hasFailedChoice,
  addOutput: addChoices,
  stream: CHAT_STREAM,
};

function addChoices(text: Parameters<AnswerFormat["addOutput"]>[0], answer: JsonObject, choices: number): boolean {
  const { choices: answered } = answer;
  // Some clients read choices that are an object like a list.
  const list: unknown = isObject(answered) ? Object.values(answered) : answered;
  if (!Array.isArray(list)) return addUnknownOutput(text, answer);
  let hasOutput = false;
  for (const [position, choice] of list.entries()) {
    if (!isObject(choice)) continue;
    const index = Math.min(indexOf(choice, position), choices);
    hasOutput = addOutput(text, choice, index) || hasOutput;
  }
  return hasOutput;
}

/** Matches a choice that the upstream says has failed. */
const FAILED = /"finish_reason"\s*:\s*"error"/;

/** True for the end of a stream, in every spelling that upstreams have for it. */
function isEnd({ data = "", name }: SseEvent): boolean {
  if (data.length > MAX_END_CHARS) return false;
  const text = data.trim().toLowerCase();
  if (text === "[done]" || text === '"[done]"') return true;
  return name?.toLowerCase() === "done" && (text === "" || text === "{}" || text === "done" || text === "null");
}

const MAX_END_CHARS = 100;
