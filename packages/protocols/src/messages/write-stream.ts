import type { AnswerContext, StreamWriter } from "../codec.ts";
import type { JsonObject } from "../json.ts";
import type { PartStart, Stop, StreamError, StreamEvent, StreamStart, Usage, WireEvent } from "../model.ts";
import { toServiceTier } from "./service-tier.ts";
import { toSignature } from "./signature.ts";
import { toStop } from "./stop.ts";
import { toMessagesUsage } from "./usage.ts";

/** Writer of the events of a message. Each part is a block of its index. */
export class MessagesStreamWriter implements StreamWriter {
  readonly #context: AnswerContext;
  #hasStarted = false;
  /** Parts that go on. */
  readonly #open = new Map<number, PartStart>();
  #stop: Stop = {};
  #serviceTier: string | undefined;
  #usage: Usage | undefined;
  #hasEnded = false;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  write(event: StreamEvent): readonly WireEvent[] {
    if (this.#hasEnded) return [];
    switch (event.type) {
      case "start":
        return this.#start(event);
      case "usage":
        this.#usage = { ...this.#usage, ...event.usage };
        return [];
      case "stop":
        this.#stop = event.stop;
        this.#serviceTier = event.serviceTier ?? this.#serviceTier;
        return [];
      case "error":
        return this.#fail(event.error);
      case "end":
        this.#hasEnded = true;
        return [...this.#started(), this.#messageDelta(this.#stop), toEvent("message_stop", {})];
      default:
        return [...this.#started(), ...this.#writePart(event)];
    }
  }

  finish(): readonly WireEvent[] {
    if (this.#hasEnded) return [];
    this.#hasEnded = true;
    return this.#usageOfRest();
  }

  #start({ id, model, serviceTier }: Omit<StreamStart, "type">): readonly WireEvent[] {
    if (this.#hasStarted) return [];
    this.#hasStarted = true;
    this.#serviceTier = serviceTier;
    const message = {
      id,
      type: "message",
      role: "assistant",
      model: model === "" ? (this.#context.requestedModel ?? "") : model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: toMessagesUsage(this.#usage, toServiceTier(serviceTier)),
    };
    return [toEvent("message_start", { message })];
  }

  #started(): readonly WireEvent[] {
    return this.#hasStarted ? [] : this.#start({ id: "", model: "" });
  }

  #writePart(event: Extract<StreamEvent, { readonly index: number }>): readonly WireEvent[] {
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

  #messageDelta(stop: Stop): WireEvent {
    const usage = toMessagesUsage(this.#usage, toServiceTier(this.#serviceTier));
    return toEvent("message_delta", { delta: toStop(stop), usage });
  }

  /** Usage of a stream that broke off, without a reason to stop. */
  #usageOfRest(): readonly WireEvent[] {
    return this.#usage === undefined ? [] : [...this.#started(), this.#messageDelta({})];
  }

  #fail({ type, message }: StreamError): readonly WireEvent[] {
    this.#hasEnded = true;
    return [...this.#usageOfRest(), toEvent("error", { error: { type: ERRORS.get(type) ?? type, message } })];
  }
}

/** Types of errors of the chat wire whose name is another one here. */
const ERRORS: ReadonlyMap<string, string> = new Map([
  ["server_error", "api_error"],
  ["insufficient_quota", "billing_error"],
  ["rate_limit_exceeded", "rate_limit_error"],
  ["service_unavailable_error", "overloaded_error"],
]);

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
