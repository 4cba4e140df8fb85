import type { StreamState, WireStreamWriter } from "../codec.ts";
import type { JsonObject } from "../json.ts";
import type { AnswerHead, PartEvent, PartStart, StreamError, Usage, WireEvent } from "../model.ts";
import { toServiceTier } from "./service-tier.ts";
import { toSignature } from "./signature.ts";
import { toStop } from "./stop.ts";
import { writeMessagesUsage } from "./usage.ts";

/** Writer of the events of a message. Each part is a block with the same index. */
export class MessagesStreamWriter implements WireStreamWriter {
  /** Open parts. */
  readonly #open = new Map<number, PartStart>();

  start({ id, model, serviceTier }: AnswerHead, usage: Usage | undefined): readonly WireEvent[] {
    const message = {
      id,
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: writeMessagesUsage(usage, toServiceTier(serviceTier)),
    };
    return [toEvent("message_start", { message })];
  }

  end(state: StreamState): readonly WireEvent[] {
    return [toMessageDelta(state), toEvent("message_stop", {})];
  }

  fail({ type, message }: StreamError, state: StreamState): readonly WireEvent[] {
    const error = toEvent("error", { error: { type: ERRORS.get(type) ?? type, message } });
    return state.usage === undefined ? [error] : [...this.breakOff(state), error];
  }

  breakOff(state: StreamState): readonly WireEvent[] {
    return [toMessageDelta({ ...state, stop: {} })];
  }

  part(event: PartEvent): readonly WireEvent[] {
    const { index } = event;
    if (event.type === "part_start") {
      this.#open.set(index, event.part);
      return [toEvent("content_block_start", { index, content_block: toBlock(event.part) })];
    }
    const start = this.#open.get(index);
    if (start === undefined) return [];
    switch (event.type) {
      case "part_delta":
        return [toEvent("content_block_delta", { index, delta: toDelta(start, event.text) })];
      case "part_seal": {
        const delta = { type: "signature_delta", signature: toSignature(event.seal) };
        return [toEvent("content_block_delta", { index, delta })];
      }
      case "part_end":
        this.#open.delete(index);
        return [toEvent("content_block_stop", { index })];
    }
  }
}

/** Types of errors whose name differs from that on the chat wire. */
const ERRORS: ReadonlyMap<string, string> = new Map([
  ["server_error", "api_error"],
  ["insufficient_quota", "billing_error"],
  ["rate_limit_exceeded", "rate_limit_error"],
  ["service_unavailable_error", "overloaded_error"],
]);

function toMessageDelta({ stop, usage, serviceTier }: StreamState): WireEvent {
  return toEvent("message_delta", {
    delta: toStop(stop),
    usage: writeMessagesUsage(usage, toServiceTier(serviceTier)),
  });
}

function toEvent(type: string, members: JsonObject): WireEvent {
  return { name: type, data: JSON.stringify({ type, ...members }) };
}

function toBlock(start: PartStart): JsonObject {
  switch (start.type) {
    case "text":
    case "refusal":
      return { type: "text", text: "" };
    case "thinking":
      return { type: "thinking", thinking: "", signature: "" };
    case "tool_call":
      return { type: "tool_use", id: start.id, name: start.name, input: {} };
  }
}

function toDelta(start: PartStart, text: string): JsonObject {
  switch (start.type) {
    case "text":
    case "refusal":
      return { type: "text_delta", text };
    case "thinking":
      return { type: "thinking_delta", thinking: text };
    case "tool_call":
      return { type: "input_json_delta", partial_json: text };
  }
}
