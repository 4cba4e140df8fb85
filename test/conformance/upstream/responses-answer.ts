import type { OpenAI } from "openai";
import { openAiRefusal } from "./chat-answer.ts";
import type { ReceivedRequest } from "./received.ts";
import { type AnswerBlock, piecesOf, stopOf, STREAM_ERROR, type Turn, USAGE } from "./turn.ts";
import { breakOff, newId, type WireAnswer } from "./wire-answer.ts";

type Item = OpenAI.Responses.ResponseOutputItem;
/** Response as it is sent: the client adds the text. */
type WireResponse = Omit<OpenAI.Responses.Response, "output_text">;
type Event = OpenAI.Responses.ResponseStreamEvent;
/** Event as it is sent, without its sequence number. */
type Unnumbered = Event extends infer E ? (E extends Event ? WithoutNumber<E> : never) : never;
type WithoutNumber<E extends Event> = E extends { response: unknown }
  ? { readonly type: E["type"]; readonly response: WireResponse }
  : Omit<E, "sequence_number">;

/** Answers of POST /v1/responses. Thinking is an item of reasoning, whose signature is its encrypted content. */
export const responsesAnswer: WireAnswer = {
  whole(turn, request) {
    const output = turn.blocks.map((block) => itemOf(block, stopOf(turn) === "length" ? "incomplete" : "completed"));
    return endOf(turn, headOf(request), output);
  },

  events(turn, request) {
    const events = eventsOf(turn, request).map((event, index) => eventText(event, index));
    if (turn.breaksOff !== true) return events;
    const error = { type: "error", code: "server_is_overloaded", message: STREAM_ERROR, param: null };
    return breakOff(events, eventText(error, Math.ceil(events.length / 2)));
  },

  refusal: openAiRefusal,
};

function eventText(event: { readonly type: string }, sequence_number: number): string {
  return `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`;
}

function headOf({ model, maxTokens, tools }: ReceivedRequest): WireResponse {
  return {
    id: newId("resp"),
    object: "response",
    created_at: 1_790_000_000,
    status: "in_progress",
    background: false,
    access_programs: null,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: maxTokens ?? null,
    model,
    output: [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    temperature: 1,
    text: { format: { type: "text" }, verbosity: "medium" },
    tool_choice: "auto",
    tools: tools.map(({ name, schema }) => ({
      type: "function",
      name,
      parameters: schema as Record<string, unknown>,
      strict: false,
    })),
    top_p: 1,
    truncation: "disabled",
    metadata: {},
  };
}

function endOf(turn: Turn, head: WireResponse, output: Item[]): WireResponse {
  const cut = stopOf(turn) === "length";
  return {
    ...head,
    status: cut ? "incomplete" : "completed",
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    output,
    usage: {
      input_tokens: USAGE.prompt,
      input_tokens_details: { cached_tokens: USAGE.cached, cache_write_tokens: USAGE.cacheWrite },
      output_tokens: USAGE.output,
      output_tokens_details: {
        reasoning_tokens: turn.blocks.some(({ type }) => type === "thinking") ? USAGE.reasoning : 0,
      },
      total_tokens: USAGE.prompt + USAGE.output,
    },
  };
}

function itemOf(block: AnswerBlock, status: "completed" | "incomplete"): Item {
  switch (block.type) {
    case "text":
      return { type: "message", id: newId("msg"), role: "assistant", status, content: [textPart(block.text)] };
    case "thinking":
      return {
        type: "reasoning",
        id: newId("rs"),
        summary: [{ type: "summary_text", text: block.text }],
        encrypted_content: block.signature,
      };
    case "tool": {
      const { id: call_id, name, input } = block;
      return { type: "function_call", id: newId("fc"), call_id, name, arguments: JSON.stringify(input), status };
    }
  }
}

function textPart(text: string): OpenAI.Responses.ResponseOutputText {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function eventsOf(turn: Turn, request: ReceivedRequest): readonly Unnumbered[] {
  const head = headOf(request);
  const cut = stopOf(turn) === "length";
  const items = turn.blocks.map((block) => itemOf(block, cut ? "incomplete" : "completed"));
  const response = endOf(turn, head, items);
  return [
    { type: "response.created", response: head },
    { type: "response.in_progress", response: head },
    ...items.flatMap(itemEvents),
    { type: cut ? "response.incomplete" : "response.completed", response },
  ];
}

function itemEvents(item: Item, output_index: number): readonly Unnumbered[] {
  return [
    { type: "response.output_item.added", output_index, item: emptyOf(item) },
    ...partsOf(item, output_index),
    { type: "response.output_item.done", output_index, item },
  ];
}

function emptyOf(item: Item): Item {
  switch (item.type) {
    case "message":
      return { ...item, status: "in_progress", content: [] };
    case "function_call":
      return { ...item, status: "in_progress", arguments: "" };
    case "reasoning":
      return { ...item, summary: [], encrypted_content: "" };
    default:
      return item;
  }
}

function partsOf(item: Item, output_index: number): readonly Unnumbered[] {
  const of = { item_id: "id" in item ? (item.id ?? "") : "", output_index };
  if (item.type === "function_call") {
    const delta = (text: string): Unnumbered => ({
      type: "response.function_call_arguments.delta",
      ...of,
      delta: text,
    });
    const done = { type: "response.function_call_arguments.done" as const, ...of, arguments: item.arguments };
    return [...piecesOf(item.arguments).map(delta), done];
  }
  if (item.type === "reasoning")
    return item.summary.flatMap((part, index) => summaryEvents(part, { ...of, summary_index: index }));
  if (item.type !== "message") return [];
  return item.content.flatMap((part, index) => {
    return part.type === "output_text" ? textEvents(part, { ...of, content_index: index }) : [];
  });
}

interface Position {
  readonly item_id: string;
  readonly output_index: number;
}

function summaryEvents(
  part: OpenAI.Responses.ResponseReasoningItem.Summary,
  of: Position & { readonly summary_index: number },
): readonly Unnumbered[] {
  const delta = (text: string): Unnumbered => ({ type: "response.reasoning_summary_text.delta", ...of, delta: text });
  return [
    { type: "response.reasoning_summary_part.added", ...of, part: { ...part, text: "" } },
    ...piecesOf(part.text).map(delta),
    { type: "response.reasoning_summary_text.done", ...of, text: part.text },
    { type: "response.reasoning_summary_part.done", ...of, part },
  ];
}

function textEvents(
  part: OpenAI.Responses.ResponseOutputText,
  of: Position & { readonly content_index: number },
): readonly Unnumbered[] {
  const delta = (text: string): Unnumbered => ({
    type: "response.output_text.delta",
    ...of,
    delta: text,
    logprobs: [],
  });
  return [
    { type: "response.content_part.added", ...of, part: textPart("") },
    ...piecesOf(part.text).map(delta),
    { type: "response.output_text.done", ...of, text: part.text, logprobs: [] },
    { type: "response.content_part.done", ...of, part },
  ];
}
