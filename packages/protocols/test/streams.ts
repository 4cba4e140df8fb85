/** Conversion of whole answers to streams, as upstreams write them, and back, as the stock clients assemble them. */
import type { JsonObject } from "../src/json.ts";
import type { WireEvent } from "../src/model.ts";

export interface ChatCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface ChatMessage {
  readonly reasoning_content?: string;
  readonly content: string | null;
  readonly refusal: string | null;
  readonly tool_calls?: readonly ChatCall[];
}

export interface ChatAnswer {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [{ readonly message: ChatMessage; readonly finish_reason: string }];
  readonly usage: JsonObject;
}

/** Cuts a text into pieces that are one to `size` characters long. */
export function piecesOf(text: string, size: number): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += size) pieces.push(text.slice(at, at + size));
  return pieces;
}

/** Stream of an answer of the chat wire. @param isMixed true if the pieces of all tool calls are mixed */
export function chatStreamOf(answer: ChatAnswer, size: number, isMixed: boolean): readonly WireEvent[] {
  const { id, created, model, usage } = answer;
  const [{ message, finish_reason: finish }] = answer.choices;
  const chunk = (members: object): WireEvent => ({ data: JSON.stringify({ id, created, model, ...members }) });
  const delta = (piece: object) => chunk({ choices: [{ index: 0, delta: piece, finish_reason: null }] });
  const pieces = (message.tool_calls ?? []).flatMap((call, index) => {
    const head = { index, id: call.id, type: call.type, function: { name: call.function.name, arguments: "" } };
    const rest = piecesOf(call.function.arguments, size).map((text) => ({ index, function: { arguments: text } }));
    return [head, ...rest].map((piece, at) => ({ at, event: delta({ tool_calls: [piece] }) }));
  });
  if (isMixed) pieces.sort((first, second) => first.at - second.at);
  return [
    delta({ role: "assistant", content: "" }),
    ...piecesOf(message.reasoning_content ?? "", size).map((text) => delta({ reasoning_content: text })),
    ...piecesOf(message.content ?? "", size).map((text) => delta({ content: text })),
    ...piecesOf(message.refusal ?? "", size).map((text) => delta({ refusal: text })),
    ...pieces.map(({ event }) => event),
    chunk({ choices: [{ index: 0, delta: {}, finish_reason: finish }] }),
    chunk({ choices: [], usage }),
    { data: "[DONE]" },
  ];
}

export type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: string }
  | { readonly type: "redacted_thinking"; readonly data: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: unknown };

export interface MessagesAnswer {
  readonly id: string;
  readonly model: string;
  readonly content: readonly Block[];
  readonly stop_reason: string | null;
  readonly stop_sequence: string | null;
  readonly usage: JsonObject;
}

const toEvent = (type: string, members: object): WireEvent => ({
  name: type,
  data: JSON.stringify({ type, ...members }),
});

/** Stream of an answer of the messages wire, with pings between the blocks. */
export function messagesStreamOf(answer: MessagesAnswer, size: number): readonly WireEvent[] {
  const { content, stop_reason, stop_sequence, usage } = answer;
  const message = { ...answer, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
  return [
    toEvent("message_start", { message }),
    ...content.flatMap((block, index) => blockEvents(block, index, size).concat(toEvent("ping", {}))),
    toEvent("message_delta", {
      delta: { stop_reason, stop_sequence },
      usage: { output_tokens: usage["output_tokens"], input_tokens: 0 },
    }),
    toEvent("message_stop", {}),
  ];
}

function blockEvents(block: Block, index: number, size: number): readonly WireEvent[] {
  const start = (content_block: object) => toEvent("content_block_start", { index, content_block });
  const deltas = (text: string, type: string, member: string) =>
    piecesOf(text, size).map((piece) => toEvent("content_block_delta", { index, delta: { type, [member]: piece } }));
  const stop = toEvent("content_block_stop", { index });
  switch (block.type) {
    case "text":
      return [start({ type: "text", text: "" }), ...deltas(block.text, "text_delta", "text"), stop];
    case "thinking":
      return [
        start({ type: "thinking", thinking: "", signature: "" }),
        ...deltas(block.thinking, "thinking_delta", "thinking"),
        ...deltas(block.signature, "signature_delta", "signature"),
        stop,
      ];
    case "redacted_thinking":
      return [start(block), stop];
    case "tool_use":
      return [
        start({ ...block, input: {} }),
        ...deltas(JSON.stringify(block.input), "input_json_delta", "partial_json"),
        stop,
      ];
  }
}

/** Members of an event of either wire that tests read. */
export interface ParsedEvent {
  readonly type: string;
  readonly index: number;
  readonly message: MessagesAnswer;
  readonly content_block: JsonObject;
  readonly delta: JsonObject;
  readonly usage: JsonObject;
  readonly choices: readonly { readonly delta: ChatDelta; readonly finish_reason: string | null }[];
}

interface ChatDelta {
  readonly content?: string | null;
  readonly refusal?: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly (ChatCall & { readonly index: number })[];
}

export const parsed = ({ data }: WireEvent): ParsedEvent => JSON.parse(data) as ParsedEvent;

/** Assembles the chunks of a stream like the stock client: texts and arguments are joined, other members are replaced. */
export function assembleChat(events: readonly WireEvent[]): JsonObject {
  const message: Record<string, unknown> = { role: "assistant", content: null, refusal: null };
  const texts = { content: "", refusal: "", reasoning_content: "" };
  const calls: { -readonly [Member in keyof ChatCall]: ChatCall[Member] }[] = [];
  const head: JsonObject = {};
  let finish: string | null = null;
  for (const event of events.filter(({ data }) => data !== "[DONE]")) {
    const { choices, ...rest } = parsed(event);
    Object.assign(head, rest);
    const [choice] = choices;
    if (choice === undefined) continue;
    finish = choice.finish_reason ?? finish;
    const { content, refusal, reasoning_content: reasoning, tool_calls: pieces = [], ...others } = choice.delta;
    texts.content += content ?? "";
    texts.refusal += refusal ?? "";
    texts.reasoning_content += reasoning ?? "";
    Object.assign(message, others);
    for (const { index, ...call } of pieces) {
      const known = calls[index];
      if (known === undefined) calls[index] = call;
      else {
        const joined = known.function.arguments + call.function.arguments;
        known.function = { name: known.function.name, arguments: joined };
      }
    }
  }
  for (const [name, text] of Object.entries(texts)) if (text !== "") message[name] = text;
  if (calls.length > 0) message["tool_calls"] = calls;
  const choices = [{ index: 0, message, logprobs: null, finish_reason: finish }];
  return { ...head, object: "chat.completion", choices };
}

/** Assembles the events of a stream like the stock client. Requires that each block starts once and ends. */
export function assembleMessages(events: readonly WireEvent[]): JsonObject {
  const message: JsonObject = {};
  const usage: JsonObject = {};
  const content: JsonObject[] = [];
  const open = new Map<number, string>();
  for (const event of events) {
    const { type, index, delta, ...members } = parsed(event);
    const block = content[index] ?? {};
    switch (type) {
      case "message_start":
        Object.assign(message, members.message);
        Object.assign(usage, members.message.usage);
        break;
      case "content_block_start":
        if (index !== content.length) throw new Error(`block ${index} starts out of order`);
        content.push(members.content_block);
        open.set(index, "");
        break;
      case "content_block_delta": {
        const json = open.get(index);
        if (json === undefined) throw new Error(`block ${index} is not open`);
        const { type: kind, ...texts } = delta;
        for (const [name, text] of Object.entries(texts)) {
          if (kind === "input_json_delta") open.set(index, json + String(text));
          else block[name] = kind === "signature_delta" ? text : String(block[name]) + String(text);
        }
        break;
      }
      case "content_block_stop": {
        const json = open.get(index);
        if (block["type"] === "tool_use" && json !== undefined && json !== "") block["input"] = JSON.parse(json);
        open.delete(index);
        break;
      }
      case "message_delta":
        Object.assign(message, delta);
        Object.assign(usage, members.usage);
        break;
      case "message_stop":
        if (open.size > 0) throw new Error(`blocks ${[...open.keys()].join()} do not end`);
    }
  }
  return { ...message, content, usage };
}
