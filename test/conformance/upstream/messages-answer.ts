import type Anthropic from "@anthropic-ai/sdk";
import type { ReceivedRequest } from "./received.ts";
import { type AnswerBlock, piecesOf, stopOf, STREAM_ERROR, type Turn, USAGE } from "./turn.ts";
import { breakOff, newId, type WireAnswer } from "./wire-answer.ts";

const STOP = { end: "end_turn", tools: "tool_use", length: "max_tokens" } as const;
const ERRORS: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "overloaded_error",
};

/** Answers of POST /v1/messages. */
export const messagesAnswer: WireAnswer = {
  whole: (turn, request) => ({
    ...headOf(turn, request),
    content: turn.blocks.map(contentOf),
    stop_reason: STOP[stopOf(turn)],
    usage: usageOf(turn, USAGE.output),
  }),

  events(turn, request) {
    const events = eventsOf(turn, request).map(eventText);
    if (turn.breaksOff === true) return breakOff(events, eventText(messagesAnswer.refusal(503, STREAM_ERROR)));
    return events;
  },

  refusal: (status, message, details) => ({
    type: "error",
    error: { type: ERRORS[status] ?? "api_error", message, ...(details && { details }) },
    request_id: newId("req"),
  }),
};

function eventText(event: object): string {
  return `event: ${"type" in event ? String(event.type) : ""}\ndata: ${JSON.stringify(event)}\n\n`;
}

function headOf(turn: Turn, { model }: ReceivedRequest): Anthropic.Message {
  return {
    id: newId("msg"),
    type: "message",
    role: "assistant",
    model,
    content: [],
    container: null,
    diagnostics: null,
    stop_details: null,
    stop_reason: null,
    stop_sequence: null,
    usage: usageOf(turn, 1),
  };
}

function contentOf(block: AnswerBlock): Anthropic.ContentBlock {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text, citations: null };
    case "thinking":
      return { type: "thinking", thinking: block.text, signature: block.signature };
    case "tool":
      return { type: "tool_use", id: block.id, name: block.name, input: block.input, caller: { type: "direct" } };
  }
}

function eventsOf(
  turn: Turn,
  request: ReceivedRequest,
): readonly (Anthropic.RawMessageStreamEvent | { type: "ping" })[] {
  return [
    { type: "message_start", message: headOf(turn, request) },
    ...turn.blocks.flatMap((block, index) => [
      { type: "content_block_start" as const, index, content_block: emptyOf(block) },
      ...(index === 0 ? [{ type: "ping" as const }] : []),
      ...deltasOf(block).map((delta) => ({ type: "content_block_delta" as const, index, delta })),
      { type: "content_block_stop" as const, index },
    ]),
    {
      type: "message_delta",
      delta: { stop_reason: STOP[stopOf(turn)], stop_sequence: null, stop_details: null, container: null },
      usage: {
        input_tokens: USAGE.prompt - USAGE.cached - USAGE.cacheWrite,
        cache_creation_input_tokens: USAGE.cacheWrite,
        cache_read_input_tokens: USAGE.cached,
        output_tokens: USAGE.output,
        output_tokens_details: thoughtOf(turn),
        server_tool_use: null,
      },
    },
    { type: "message_stop" },
  ];
}

function emptyOf(block: AnswerBlock): Anthropic.ContentBlock {
  if (block.type === "tool") return contentOf({ ...block, input: {} });
  return contentOf(block.type === "text" ? { ...block, text: "" } : { ...block, text: "", signature: "" });
}

function deltasOf(block: AnswerBlock): readonly Anthropic.RawContentBlockDelta[] {
  switch (block.type) {
    case "text":
      return piecesOf(block.text).map((text) => ({ type: "text_delta", text }));
    case "thinking":
      return [
        ...piecesOf(block.text).map((thinking) => ({ type: "thinking_delta" as const, thinking })),
        { type: "signature_delta", signature: block.signature },
      ];
    case "tool":
      return ["", ...piecesOf(JSON.stringify(block.input))].map((partial_json) => ({
        type: "input_json_delta",
        partial_json,
      }));
  }
}

function thoughtOf({ blocks }: Turn): Anthropic.OutputTokensDetails {
  return { thinking_tokens: blocks.some(({ type }) => type === "thinking") ? USAGE.reasoning : 0 };
}

function usageOf(turn: Turn, outputTokens: number): Anthropic.Usage {
  return {
    input_tokens: USAGE.prompt - USAGE.cached - USAGE.cacheWrite,
    cache_creation_input_tokens: USAGE.cacheWrite,
    cache_read_input_tokens: USAGE.cached,
    cache_creation: { ephemeral_5m_input_tokens: USAGE.cacheWrite, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: thoughtOf(turn),
    inference_geo: null,
    server_tool_use: null,
    service_tier: "standard",
    speed: "standard",
  };
}
