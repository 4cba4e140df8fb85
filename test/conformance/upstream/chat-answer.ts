import type { OpenAI } from "openai";
import type { ReceivedRequest } from "./received.ts";
import { type AnswerBlock, piecesOf, stopOf, STREAM_ERROR, type Turn, USAGE } from "./turn.ts";
import { breakOff, newId, type WireAnswer } from "./wire-answer.ts";

const FINISH = { end: "stop", tools: "tool_calls", length: "length" } as const;
const CREATED = 1_790_000_000;

/** Answers of POST /v1/chat/completions. Reasoning is `reasoning_content`, as in DeepSeek and vLLM. */
export const chatAnswer: WireAnswer = {
  whole(turn, { model }) {
    const calls = turn.blocks.flatMap((block) => (block.type === "tool" ? [callOf(block)] : []));
    const content = textOf(turn, "text");
    const reasoning = textOf(turn, "thinking");
    const message: OpenAI.ChatCompletionMessage = {
      role: "assistant",
      content: content === "" ? null : content,
      refusal: null,
      annotations: [],
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    };
    return {
      id: newId("chatcmpl"),
      object: "chat.completion",
      created: CREATED,
      model,
      choices: [{ index: 0, message, logprobs: null, finish_reason: FINISH[stopOf(turn)] }],
      usage: usageOf(turn),
      service_tier: "default",
    } satisfies OpenAI.ChatCompletion;
  },

  events(turn, request) {
    const events = chunksOf(turn, request).map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
    if (turn.breaksOff === true)
      return breakOff(events, `data: ${JSON.stringify(chatAnswer.refusal(503, STREAM_ERROR))}\n\n`);
    return [...events, "data: [DONE]\n\n"];
  },

  refusal: openAiRefusal,
};

/** Body of an error of OpenAI. */
export function openAiRefusal(status: number, message: string): object {
  const [type, code] =
    status === 429
      ? ["requests", "rate_limit_exceeded"]
      : status >= 500
        ? ["server_error", null]
        : ["invalid_request_error", status === 401 ? "invalid_api_key" : null];
  return { error: { message, type, param: null, code } };
}

function chunksOf(turn: Turn, { model, includeUsage }: ReceivedRequest): readonly OpenAI.ChatCompletionChunk[] {
  const id = newId("chatcmpl");
  const chunk = (choices: OpenAI.ChatCompletionChunk["choices"], usage?: OpenAI.CompletionUsage) => ({
    id,
    object: "chat.completion.chunk" as const,
    created: CREATED,
    model,
    service_tier: "default" as const,
    choices,
    ...(includeUsage ? { usage: usage ?? null } : {}),
  });
  const choice = (delta: object, finish: "stop" | "tool_calls" | "length" | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finish }]);
  const chunks = [choice({ role: "assistant", content: "", refusal: null })];
  let index = -1;
  for (const block of turn.blocks) {
    if (block.type === "tool") {
      index++;
      const { id: callId, type, function: called } = callOf(block);
      chunks.push(
        choice({ tool_calls: [{ index, id: callId, type, function: { name: called.name, arguments: "" } }] }),
      );
      for (const piece of piecesOf(called.arguments)) {
        chunks.push(choice({ tool_calls: [{ index, function: { arguments: piece } }] }));
      }
    } else {
      const member = block.type === "text" ? "content" : "reasoning_content";
      chunks.push(...piecesOf(block.text).map((piece) => choice({ [member]: piece })));
    }
  }
  chunks.push(choice({}, FINISH[stopOf(turn)]));
  if (includeUsage) chunks.push(chunk([], usageOf(turn)));
  return chunks;
}

function callOf({
  id,
  name,
  input,
}: Extract<AnswerBlock, { type: "tool" }>): OpenAI.ChatCompletionMessageFunctionToolCall {
  return { id, type: "function", function: { name, arguments: JSON.stringify(input) } };
}

function textOf({ blocks }: Turn, type: "text" | "thinking"): string {
  return blocks.flatMap((block) => (block.type === type ? [block.text] : [])).join("");
}

function usageOf(turn: Turn): OpenAI.CompletionUsage {
  return {
    prompt_tokens: USAGE.prompt,
    completion_tokens: USAGE.output,
    total_tokens: USAGE.prompt + USAGE.output,
    prompt_tokens_details: { cached_tokens: USAGE.cached, cache_write_tokens: USAGE.cacheWrite, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: turn.blocks.some(({ type }) => type === "thinking") ? USAGE.reasoning : 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
