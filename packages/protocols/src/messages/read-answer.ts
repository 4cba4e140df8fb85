import { isObject, type JsonObject, textOf } from "../json.ts";
import type { AnswerPart, NeutralAnswer } from "../model.ts";
import { toArguments } from "./arguments.ts";
import { fromSignature } from "./signature.ts";
import { readServiceTier } from "./service-tier.ts";
import { readStop } from "./stop.ts";
import { readMessagesUsage } from "./usage.ts";

/** Reads an answer of the messages wire. Unknown blocks are skipped: only tools that are refused produce them. */
export function readMessagesAnswer(answer: JsonObject): NeutralAnswer {
  const { content, usage: record } = answer;
  const usage = readMessagesUsage(record);
  const serviceTier = tierOf(record);
  return {
    id: textOf(answer["id"]) ?? "",
    model: textOf(answer["model"]) ?? "",
    parts: Array.isArray(content) ? content.filter(isObject).flatMap(readBlock) : [],
    stop: readStop(answer),
    ...(usage !== undefined && { usage }),
    ...(serviceTier !== undefined && { serviceTier }),
  };
}

/** Tier of a usage record, in the words of the chat wire; the fast mode is a tier there. */
export function tierOf(usage: unknown): string | undefined {
  if (!isObject(usage)) return undefined;
  if (usage["speed"] === "fast") return "fast";
  return typeof usage["service_tier"] === "string" ? readServiceTier(usage["service_tier"]) : undefined;
}

function readBlock(block: JsonObject): AnswerPart[] {
  const { type, text, thinking, signature, data } = block;
  switch (type) {
    case "text":
      return [{ type, text: textOf(text) ?? "", at: "" }];
    case "thinking": {
      const value = textOf(signature);
      const part = { type, text: textOf(thinking) ?? "", at: "" } as const;
      return [value === undefined ? part : { ...part, seal: fromSignature(value) }];
    }
    case "redacted_thinking":
      return [
        {
          type: "thinking",
          text: "",
          seal: { wire: "messages", kind: "encrypted", value: textOf(data) ?? "" },
          at: "",
        },
      ];
    case "tool_use": {
      const call = { id: textOf(block["id"]) ?? "", name: textOf(block["name"]) ?? "", kind: "function" } as const;
      return [{ type: "tool_call", ...call, arguments: toArguments(block["input"]), at: "" }];
    }
    default:
      return [];
  }
}
