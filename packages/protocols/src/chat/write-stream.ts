import type { AnswerContext, StreamWriter } from "../codec.ts";
import type { JsonObject } from "../json.ts";
import type { PartStart, Stop, StreamEvent, StreamStart, ThinkingPart, Usage, WireEvent } from "../model.ts";
import { toSealed } from "./reasoning.ts";
import { toFinish } from "./stop.ts";
import { secondsNow } from "./write-answer.ts";
import { toChatUsage } from "./write-usage.ts";

/** Bound of the reasoning, and of the seals, that are kept until the end. What is longer is written without its seal. */
const MAX_KEPT_CHARS = 4_000_000;

interface OpenPart {
  readonly start: PartStart;
  /** Position of a tool call among all of them. */
  readonly call: number;
  hasText: boolean;
  /** Reasoning so far, which its seal is written with. */
  kept: string;
}

/** Writer of a stream of chunks. */
export class ChatStreamWriter implements StreamWriter {
  readonly #context: AnswerContext;
  #head: JsonObject | undefined;
  readonly #open = new Map<number, OpenPart>();
  #calls = 0;
  readonly #sealed: ThinkingPart[] = [];
  #keptChars = 0;
  #sealChars = 0;
  #hasRefusal = false;
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
        return [...this.#started(), ...this.#end()];
      default:
        return [...this.#started(), ...this.#writePart(event)];
    }
  }

  finish(): readonly WireEvent[] {
    if (this.#hasEnded) return [];
    this.#hasEnded = true;
    return this.#usageChunk();
  }

  #start({ id, model, createdAt, serviceTier }: Omit<StreamStart, "type">): readonly WireEvent[] {
    if (this.#head !== undefined) return [];
    this.#serviceTier = serviceTier;
    this.#head = {
      id,
      object: "chat.completion.chunk",
      created: createdAt ?? this.#context.createdAt ?? secondsNow(),
      model: model === "" ? (this.#context.requestedModel ?? "") : model,
    };
    return [this.#delta({ role: "assistant", content: "" })];
  }

  #started(): readonly WireEvent[] {
    return this.#head === undefined ? this.#start({ id: "", model: "" }) : [];
  }

  #writePart(event: Extract<StreamEvent, { readonly index: number }>): readonly WireEvent[] {
    if (event.type === "part_start") return this.#startPart(event.index, event.part);
    const part = this.#open.get(event.index);
    if (part === undefined) return [];
    switch (event.type) {
      case "part_delta":
        part.hasText ||= event.text !== "";
        return this.#addText(part, event.text);
      case "part_seal":
        this.#sealChars += event.seal.value.length;
        if (Math.max(this.#keptChars, this.#sealChars) <= MAX_KEPT_CHARS) {
          this.#sealed.push({ type: "thinking", text: part.kept, seal: event.seal, at: "" });
        }
        return [];
      case "part_end":
        this.#open.delete(event.index);
        // A call without arguments is one with an empty object.
        return isFunction(part.start) && !part.hasText ? [this.#callDelta(part, "{}")] : [];
    }
  }

  #startPart(index: number, start: PartStart): readonly WireEvent[] {
    const part = { start, call: start.type === "tool_call" ? this.#calls++ : 0, hasText: false, kept: "" };
    this.#open.set(index, part);
    this.#hasRefusal ||= start.type === "refusal";
    if (start.type !== "tool_call") return [];
    const { id, name, kind } = start;
    const call = kind === "custom" ? { name, input: "" } : { name, arguments: "" };
    return [this.#delta({ tool_calls: [{ index: part.call, id, type: kind, [kind]: call }] })];
  }

  #addText(part: OpenPart, text: string): readonly WireEvent[] {
    switch (part.start.type) {
      case "text":
        return [this.#delta({ content: text })];
      case "refusal":
        return [this.#delta({ refusal: text })];
      case "tool_call":
        return [this.#callDelta(part, text)];
      case "thinking":
        this.#keptChars += text.length;
        if (this.#keptChars <= MAX_KEPT_CHARS) part.kept += text;
        return [this.#delta({ reasoning_content: text })];
    }
  }

  #callDelta({ start, call }: OpenPart, text: string): WireEvent {
    const piece = isFunction(start) ? { function: { arguments: text } } : { custom: { input: text } };
    return this.#delta({ tool_calls: [{ index: call, ...piece }] });
  }

  #end(): readonly WireEvent[] {
    this.#hasEnded = true;
    const { explanation } = this.#stop;
    // Clients keep the last value of a member that they do not know, so all seals are in one chunk.
    const sealed = toSealed(this.#sealed);
    return [
      ...(Object.keys(sealed).length > 0 ? [this.#delta(sealed)] : []),
      ...(explanation !== undefined && !this.#hasRefusal ? [this.#delta({ refusal: explanation })] : []),
      this.#delta({}, toFinish(this.#stop)),
      ...this.#usageChunk(),
      { data: "[DONE]" },
    ];
  }

  #fail({ type, message, code }: { readonly type: string; readonly message: string; readonly code?: string }) {
    this.#hasEnded = true;
    const error = { message, type, param: null, code: code ?? null };
    return [...this.#usageChunk(), { data: JSON.stringify({ error }) }];
  }

  #usageChunk(): readonly WireEvent[] {
    if (this.#usage === undefined) return [];
    return [...this.#started(), this.#chunk({ choices: [], usage: toChatUsage(this.#usage) })];
  }

  #delta(delta: JsonObject, finish: string | null = null): WireEvent {
    return this.#chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
  }

  #chunk(members: JsonObject): WireEvent {
    const tier = this.#serviceTier === undefined ? {} : { service_tier: this.#serviceTier };
    return { data: JSON.stringify({ ...this.#head, ...members, ...tier }) };
  }
}

function isFunction(start: PartStart): boolean {
  return start.type === "tool_call" && start.kind === "function";
}
