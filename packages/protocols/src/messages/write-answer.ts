import type { JsonObject } from "../json.ts";
import type { AnswerPart, NeutralAnswer } from "../model.ts";
import { toToolInput } from "./arguments.ts";
import { toServiceTier } from "./service-tier.ts";
import { toSignature } from "./signature.ts";
import { toStop } from "./stop.ts";
import { writeMessagesUsage } from "./usage.ts";

/** Writes an answer of the messages wire. */
export function writeMessagesAnswer(answer: NeutralAnswer): JsonObject {
  return {
    id: answer.id,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: answer.parts.map(toBlock),
    ...toStop(answer.stop),
    usage: writeMessagesUsage(answer.usage, toServiceTier(answer.serviceTier)),
  };
}

function toBlock(part: AnswerPart): JsonObject {
  switch (part.type) {
    case "text":
    case "refusal":
      return { type: "text", text: part.text };
    case "thinking":
      return {
        type: "thinking",
        thinking: part.text,
        signature: part.seal === undefined ? "" : toSignature(part.seal),
      };
    case "tool_call":
      return { type: "tool_use", id: part.id, name: part.name, input: toToolInput(part.arguments) };
  }
}
