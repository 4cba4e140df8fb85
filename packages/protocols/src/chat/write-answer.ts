import type { JsonObject } from "../json.ts";
import type { NeutralAnswer } from "../model.ts";
import type { WholeHead } from "../whole-head.ts";
import { toReasoning } from "./reasoning.ts";
import { toFinish } from "./stop.ts";
import { toToolCall } from "./tool-call.ts";
import { writeChatUsage } from "./write-usage.ts";

/** Writes an answer of the chat wire. */
export function writeChatAnswer(answer: NeutralAnswer & WholeHead): JsonObject {
  const { parts, stop, usage, serviceTier } = answer;
  const texts = parts.filter((part) => part.type === "text");
  const refusals = parts.filter((part) => part.type === "refusal");
  const calls = parts.filter((part) => part.type === "tool_call");
  const refusal = refusals.length > 0 ? refusals.map(({ text }) => text).join("") : (stop.explanation ?? null);
  const message = {
    role: "assistant",
    content: texts.length === 0 ? null : texts.map(({ text }) => text).join(""),
    refusal,
    ...toReasoning(parts),
    ...(calls.length > 0 && { tool_calls: calls.map(toToolCall) }),
  };
  return {
    id: answer.id,
    object: "chat.completion",
    created: answer.createdAt,
    model: answer.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: toFinish(stop) }],
    ...(usage !== undefined && { usage: writeChatUsage(usage) }),
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
  };
}
