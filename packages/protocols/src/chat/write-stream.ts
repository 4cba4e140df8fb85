import type { StreamState, WireStreamWriter } from "../codec.ts";
import { isFunction, NO_ARGUMENTS } from "../function-arguments.ts";
import type { JsonObject } from "../json.ts";
import type { PartEvent, PartStart, StreamError, ThinkingPart, WireEvent } from "../model.ts";
import type { WholeHead } from "../whole-head.ts";
import { toSealed } from "./reasoning.ts";
import { toFinish } from "./stop.ts";
import { toToolCall } from "./tool-call.ts";
import { writeChatUsage } from "./write-usage.ts";

/** Bound of the reasoning, and of the seals, that are kept until the end. Longer reasoning is written without its seal. */
const MAX_KEPT_CHARS = 4_000_000;

interface OpenPart {
  readonly start: PartStart;
  /** Position of a tool call among all of them. */
  readonly call: number;
  hasText: boolean;
  /** Reasoning so far, which is written together with its seal. */
  kept: string;
}

/** Writer of a stream of chunks. */
export class ChatStreamWriter implements WireStreamWriter {
  #head: JsonObject = {};
  #tier: JsonObject = {};
  readonly #open = new Map<number, OpenPart>();
  #calls = 0;
  readonly #sealed: ThinkingPart[] = [];
  #keptChars = 0;
  #sealChars = 0;
  #hasRefusal = false;

  start({ id, model, createdAt, serviceTier }: WholeHead): readonly WireEvent[] {
    this.#head = { id, object: "chat.completion.chunk", created: createdAt, model };
    this.#tier = toTier(serviceTier);
    return [this.#delta({ role: "assistant", content: "" })];
  }

  end(state: StreamState): readonly WireEvent[] {
    this.#tier = toTier(state.serviceTier);
    const { explanation } = state.stop;
    // Clients keep the last value of a member that they do not know, so all seals are in one chunk.
    const sealed = toSealed(this.#sealed);
    return [
      ...(Object.keys(sealed).length > 0 ? [this.#delta(sealed)] : []),
      ...(explanation !== undefined && !this.#hasRefusal ? [this.#delta({ refusal: explanation })] : []),
      this.#delta({}, toFinish(state.stop)),
      ...this.breakOff(state),
      { data: "[DONE]" },
    ];
  }

  fail({ type, message, code }: StreamError, state: StreamState): readonly WireEvent[] {
    return [
      ...this.breakOff(state),
      { data: JSON.stringify({ error: { message, type, param: null, code: code ?? null } }) },
    ];
  }

  breakOff({ usage, serviceTier }: StreamState): readonly WireEvent[] {
    this.#tier = toTier(serviceTier);
    return usage === undefined ? [] : [this.#chunk({ choices: [], usage: writeChatUsage(usage) })];
  }

  part(event: PartEvent): readonly WireEvent[] {
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
        // A call without arguments gets an empty object.
        return isFunction(part.start) && !part.hasText ? [this.#callDelta(part, NO_ARGUMENTS)] : [];
    }
  }

  #startPart(index: number, start: PartStart): readonly WireEvent[] {
    const part = { start, call: start.type === "tool_call" ? this.#calls++ : 0, hasText: false, kept: "" };
    this.#open.set(index, part);
    this.#hasRefusal ||= start.type === "refusal";
    if (start.type !== "tool_call") return [];
    return [this.#delta({ tool_calls: [{ index: part.call, ...toToolCall({ ...start, arguments: "" }) }] })];
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

  #delta(delta: JsonObject, finish: string | null = null): WireEvent {
    return this.#chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
  }

  #chunk(members: JsonObject): WireEvent {
    return { data: JSON.stringify({ ...this.#head, ...members, ...this.#tier }) };
  }
}

function toTier(serviceTier: string | undefined): JsonObject {
  return serviceTier === undefined ? {} : { service_tier: serviceTier };
}
