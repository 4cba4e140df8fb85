import { MAX_OPEN_PARTS, type StreamReader } from "../codec.ts";
import { isObject, type JsonObject, parseOrUndefined, textOf } from "../json.ts";
import type { Stop, StreamEvent, Usage, WireEvent } from "../model.ts";
import { JsonEnd } from "./json-end.ts";
import { contentText, readCall } from "./read-answer.ts";
import { isPlaceholder, readChatUsage } from "./read-usage.ts";
import { reasoningText } from "./reasoning.ts";
import { FAILED, readFinish } from "./stop.ts";

type ContentType = "text" | "refusal" | "thinking";

/** Indices of the first choice, as upstreams write them. */
const FIRST: ReadonlySet<unknown> = new Set([0, "0"]);

interface ReadCall {
  readonly id: string;
  readonly index: number;
  /** Detector of the end of its arguments; undefined once the call has ended. */
  end: JsonEnd | undefined;
}

/**
 * Reader of a stream of chunks. Only one text, refusal or reasoning is open at a time. The pieces of several tool calls can be mixed,
 * although most upstreams write one call after the other. A call ends at the start of another part, if its arguments are complete, or at
 * the end of the stream.
 */
export class ChatStreamReader implements StreamReader {
  #hasStarted = false;
  #content: { readonly type: ContentType; readonly index: number } | undefined;
  readonly #calls = new Map<unknown, ReadCall>();
  #parts = 0;
  #hasRefusal = false;
  #stop: Stop | undefined;
  /** True once the upstream has said that the answer failed. Its usage may follow. */
  #hasFailed = false;
  #usage: Usage | undefined;
  #serviceTier: string | undefined;
  #hasEnded = false;

  read({ data }: WireEvent): readonly StreamEvent[] {
    if (this.#hasEnded) return [];
    if (data.trim() === "[DONE]") return this.#end();
    const chunk = parseOrUndefined(data);
    if (!isObject(chunk)) return [];
    return isObject(chunk["error"]) ? this.#fail(chunk["error"]) : this.#readChunk(chunk);
  }

  finish(): readonly StreamEvent[] {
    // Some upstreams close the stream without the last event.
    return this.#hasEnded || (this.#stop === undefined && !this.#hasFailed) ? [] : this.#end();
  }

  #readChunk(chunk: JsonObject): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    this.#serviceTier = textOf(chunk["service_tier"]) ?? this.#serviceTier;
    const first: unknown = Array.isArray(chunk["choices"]) ? chunk["choices"][0] : undefined;
    const choice = isObject(first) && FIRST.has(first["index"] ?? 0) ? first : undefined;
    if (choice !== undefined && !this.#hasStarted) events.push(this.#start(chunk));
    if (choice !== undefined && this.#stop === undefined && !this.#hasFailed) {
      // Some upstreams send a message in the place of a delta.
      const delta = choice["delta"] ?? choice["message"];
      if (isObject(delta)) this.#readDelta(delta, events);
      if (this.#hasEnded) return events;
      this.#readFinish(choice["finish_reason"], events);
    }
    this.#readUsage(chunk, events);
    return events;
  }

  #start(chunk: JsonObject): StreamEvent {
    this.#hasStarted = true;
    const { created } = chunk;
    return {
      type: "start",
      id: textOf(chunk["id"]) ?? "",
      model: textOf(chunk["model"]) ?? "",
      ...(typeof created === "number" && { createdAt: created }),
      ...(this.#serviceTier !== undefined && { serviceTier: this.#serviceTier }),
    };
  }

  #readDelta(delta: JsonObject, events: StreamEvent[]): void {
    this.#addContent("thinking", reasoningText(delta), events);
    this.#addContent("text", contentText(delta["content"]), events);
    this.#addContent("refusal", textOf(delta["refusal"]) ?? "", events);
    const calls = delta["tool_calls"];
    if (!Array.isArray(calls)) return;
    for (const [position, call] of calls.entries()) if (isObject(call)) this.#addCall(call, position, events);
  }

  #addContent(type: ContentType, text: string, events: StreamEvent[]): void {
    if (text === "") return;
    if (this.#content?.type !== type) {
      this.#endWhole(events);
      this.#content = { type, index: this.#parts++ };
      this.#hasRefusal ||= type === "refusal";
      events.push({ type: "part_start", index: this.#content.index, part: { type } });
    }
    events.push({ type: "part_delta", index: this.#content.index, text });
  }

  #addCall(call: JsonObject, position: number, events: StreamEvent[]): void {
    const { kind, name, text } = readCall(call);
    const id = textOf(call["id"]);
    const key = typeof call["index"] === "number" ? call["index"] : (id ?? position);
    let known = this.#calls.get(key);
    // Some upstreams send each call as a whole, all with the same index, and some of these without ids.
    const isWhole = known?.end?.isWhole ?? true;
    const isAnother = id === undefined ? isWhole && text !== "" : id !== known?.id;
    if (known === undefined || (isAnother && name !== "")) {
      if (this.#calls.size >= MAX_OPEN_PARTS) return this.#refuseCalls(events);
      this.#endWhole(events);
      if (known !== undefined) this.#endCall(known, events);
      known = { id: id ?? "", index: this.#parts++, end: new JsonEnd() };
      this.#calls.set(key, known);
      events.push({ type: "part_start", index: known.index, part: { type: "tool_call", id: known.id, name, kind } });
    }
    if (text === "" || known.end === undefined) return;
    known.end.push(text);
    events.push({ type: "part_delta", index: known.index, text });
  }

  #refuseCalls(events: StreamEvent[]): void {
    if (!this.#hasEnded)
      events.push(...this.#fail({ message: `more than ${MAX_OPEN_PARTS} tool calls in one answer` }));
  }

  #endContent(events: StreamEvent[]): void {
    if (this.#content !== undefined) events.push({ type: "part_end", index: this.#content.index });
    this.#content = undefined;
  }

  #endCall(call: ReadCall, events: StreamEvent[]): void {
    if (call.end !== undefined) events.push({ type: "part_end", index: call.index });
    call.end = undefined;
  }

  /** Ends the open parts that the start of another part ends. */
  #endWhole(events: StreamEvent[]): void {
    this.#endContent(events);
    for (const call of this.#calls.values()) if (call.end?.isWhole === true) this.#endCall(call, events);
  }

  #endParts(events: StreamEvent[]): void {
    this.#endContent(events);
    for (const call of this.#calls.values()) this.#endCall(call, events);
  }

  #readFinish(reason: unknown, events: StreamEvent[]): void {
    this.#hasFailed = reason === FAILED;
    const stop = readFinish(reason, { hasCalls: this.#calls.size > 0, hasRefusal: this.#hasRefusal });
    if (stop.reason === undefined) return;
    this.#stop = stop;
    this.#endParts(events);
    events.push({ type: "stop", stop, ...(this.#serviceTier !== undefined && { serviceTier: this.#serviceTier }) });
  }

  #readUsage(chunk: JsonObject, events: StreamEvent[]): void {
    const usage = readChatUsage(chunk);
    if (usage === undefined || (this.#usage !== undefined && isPlaceholder(usage))) return;
    this.#usage = usage;
    events.push({ type: "usage", usage });
  }

  #end(): readonly StreamEvent[] {
    if (this.#hasFailed) return this.#fail({ message: "the upstream says that its answer failed" });
    this.#hasEnded = true;
    const events: StreamEvent[] = [];
    if (this.#stop === undefined) this.#endParts(events);
    return [...events, { type: "end" }];
  }

  #fail({ type, message, code }: JsonObject): readonly StreamEvent[] {
    this.#hasEnded = true;
    const known = textOf(code);
    return [
      {
        type: "error",
        error: {
          type: textOf(type) ?? "server_error",
          message: textOf(message) ?? "",
          ...(known !== undefined && { code: known }),
        },
      },
    ];
  }
}
