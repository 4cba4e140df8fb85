import type { AnswerContext, StreamWriter } from "../codec.ts";
import type { JsonObject } from "../json.ts";
import type { Stop, StreamError, StreamEvent, Usage, WireEvent } from "../model.ts";
import { explanationOf } from "./write-answer.ts";
import {
  addPart,
  isContent,
  isFunction,
  type ItemPart,
  NO_ARGUMENTS,
  type OutputItem,
  writeContent,
  writeItem,
  writeSummary,
} from "./output-items.ts";
import {
  endOf,
  MAX_STREAM_PARTS,
  type ResponseHead,
  responseObject,
  type ResponseState,
  type Status,
} from "./response-object.ts";

const TOO_MANY_PARTS: StreamError = { type: "server_error", message: "The answer has too many parts." };

/** Part of a stream that is written. */
interface WrittenPart {
  readonly item: OutputItem;
  readonly part: ItemPart;
  /** Position of the part in its item. */
  readonly position: number;
  hasEnded: boolean;
}

/**
 * Writer of the events of a response. Its last event repeats the whole answer, which is kept until then. An item is done once the
 * next one begins or the answer ends: until then a text can be added to a message, and its status is not known.
 */
export class ResponseStreamWriter implements StreamWriter {
  readonly #context: AnswerContext;
  #head: ResponseHead | undefined;
  readonly #items: OutputItem[] = [];
  readonly #parts = new Map<number, WrittenPart>();
  /** Numbers of parts that go on, by item that is not done. */
  readonly #open = new Map<OutputItem, number>();
  #hasRefusal = false;
  #usage: Usage | undefined;
  #stop: Stop = {};
  #sequenceNumber = 0;
  #hasEnded = false;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  write(event: StreamEvent): readonly WireEvent[] {
    if (this.#hasEnded) return [];
    if (event.type === "error") return this.#fail(event.error);
    if (event.type !== "start") return [...this.#start({ id: "", model: "" }), ...this.#writeStarted(event)];
    const { type: _type, ...head } = event;
    return this.#start(head);
  }

  finish(): readonly WireEvent[] {
    if (this.#hasEnded || this.#head === undefined || this.#usage === undefined) return [];
    this.#hasEnded = true;
    return [this.#lifecycle("in_progress", { status: "in_progress", output: [], usage: this.#usage })];
  }

  #start(head: ResponseHead): readonly WireEvent[] {
    if (this.#head !== undefined) return [];
    this.#head = { ...head, createdAt: head.createdAt ?? this.#context.createdAt ?? Math.floor(Date.now() / 1000) };
    const state: ResponseState = { status: "in_progress", output: [] };
    return [this.#lifecycle("created", state), this.#lifecycle("in_progress", state)];
  }

  #writeStarted(event: Exclude<StreamEvent, { readonly type: "start" | "error" }>): readonly WireEvent[] {
    switch (event.type) {
      case "part_start":
        return this.#startPart(event.index, { start: event.part, text: "" });
      case "part_delta":
        return this.#withPart(event.index, (written) => this.#delta(written, event.text));
      case "part_seal":
        return this.#withPart(event.index, ({ part }) => {
          part.seal = event.seal;
          return [];
        });
      case "part_end":
        return this.#withPart(event.index, (written) => this.#endPart(written));
      case "usage":
        this.#usage = { ...this.#usage, ...event.usage };
        return [];
      case "stop":
        this.#stop = event.stop;
        if (event.serviceTier !== undefined) this.#head = { ...this.#startedHead, serviceTier: event.serviceTier };
        return [];
      case "end":
        return this.#end();
    }
  }

  get #startedHead(): ResponseHead {
    return this.#head ?? { id: "", model: "" };
  }

  /** Does something with a part that has begun and not ended; nothing if there is none. */
  #withPart(index: number, write: (written: WrittenPart) => readonly WireEvent[]): readonly WireEvent[] {
    const written = this.#parts.get(index);
    return written === undefined || written.hasEnded ? [] : write(written);
  }

  #startPart(index: number, part: ItemPart): readonly WireEvent[] {
    if (this.#parts.has(index)) return [];
    if (this.#parts.size >= MAX_STREAM_PARTS) return this.#fail(TOO_MANY_PARTS);
    const last = this.#items.at(-1);
    const item = addPart(this.#items, part, this.#startedHead);
    const written = { item, part, position: item.parts.length - 1, hasEnded: false };
    this.#parts.set(index, written);
    this.#hasRefusal ||= part.start.type === "refusal";
    this.#open.set(item, (this.#open.get(item) ?? 0) + 1);
    const events: WireEvent[] = [];
    if (item !== last) {
      if (last !== undefined) events.push(...this.#closeEnded(last));
      const added = writeItem({ ...item, parts: isContent(part.start) ? [] : [part] }, "in_progress");
      events.push(this.#event("output_item.added", { output_index: item.position, item: added }));
    }
    if (isContent(part.start)) events.push(this.#event("content_part.added", this.#contentPart(written)));
    return events;
  }

  #delta(written: WrittenPart, text: string): readonly WireEvent[] {
    const { part } = written;
    if (text === "") return [];
    const isFirst = part.text === "";
    part.text += text;
    const place = placeOf(written);
    const { start } = part;
    switch (start.type) {
      case "text":
        return [this.#event("output_text.delta", { ...place, delta: text, logprobs: [] })];
      case "refusal":
        return [this.#event("refusal.delta", { ...place, delta: text })];
      case "tool_call":
        return [this.#event(`${callEvent(start.kind)}.delta`, { ...place, delta: text })];
      case "thinking": {
        const part = { ...place, part: writeSummary({ start, text: "" }) };
        const added = isFirst ? [this.#event("reasoning_summary_part.added", part)] : [];
        return [...added, this.#event("reasoning_summary_text.delta", { ...place, delta: text })];
      }
    }
  }

  #endPart(written: WrittenPart): readonly WireEvent[] {
    const { item, part } = written;
    const events = isFunction(part.start) && part.text === "" ? [...this.#delta(written, NO_ARGUMENTS)] : [];
    written.hasEnded = true;
    this.#open.set(item, (this.#open.get(item) ?? 1) - 1);
    const place = placeOf(written);
    const { start, text } = part;
    if (start.type === "tool_call") {
      const whole = start.kind === "custom" ? { input: text } : { arguments: text };
      events.push(this.#event(`${callEvent(start.kind)}.done`, { ...place, ...whole }));
    } else if (start.type === "thinking" && text !== "") {
      events.push(this.#event("reasoning_summary_text.done", { ...place, text }));
      events.push(this.#event("reasoning_summary_part.done", { ...place, part: writeSummary(part) }));
    } else if (start.type === "text") {
      events.push(this.#event("output_text.done", { ...place, text, logprobs: [] }));
    } else if (start.type === "refusal") {
      events.push(this.#event("refusal.done", { ...place, refusal: text }));
    }
    if (isContent(start)) events.push(this.#event("content_part.done", this.#contentPart(written)));
    if (item !== this.#items.at(-1)) events.push(...this.#closeEnded(item));
    return events;
  }

  #contentPart(written: WrittenPart): JsonObject {
    return { ...placeOf(written), part: writeContent(written.part) };
  }

  /** Closes an item, unless one of its parts goes on. */
  #closeEnded(item: OutputItem): readonly WireEvent[] {
    return this.#open.get(item) === 0 ? this.#close(item, "completed") : [];
  }

  #close(item: OutputItem, status: Status): readonly WireEvent[] {
    if (!this.#open.delete(item)) return [];
    return [this.#event("output_item.done", { output_index: item.position, item: writeItem(item, status) })];
  }

  #end(): readonly WireEvent[] {
    const explanation = explanationOf(this.#stop, this.#hasRefusal);
    const events = explanation === undefined ? [] : [...this.#explain(explanation)];
    for (const written of this.#parts.values()) if (!written.hasEnded) events.push(...this.#endPart(written));
    const { status, incomplete } = endOf(this.#stop, this.#hasRefusal);
    const last = this.#items.at(-1);
    const statusOf = (item: OutputItem): Status =>
      item === last && status !== "completed" ? "incomplete" : "completed";
    for (const item of this.#items) events.push(...this.#close(item, statusOf(item)));
    this.#hasEnded = true;
    const output = this.#items.map((item) => writeItem(item, statusOf(item)));
    const state = { status, output, usage: this.#usage, incomplete };
    return [...events, this.#lifecycle(status === "completed" ? "completed" : "incomplete", state)];
  }

  /** Adds the explanation of a refusal as a part of its own, whose index no other part has. */
  #explain(text: string): readonly WireEvent[] {
    const index = -1;
    const started = this.#startPart(index, { start: { type: "refusal" }, text: "" });
    return [...started, ...this.#withPart(index, (written) => this.#delta(written, text))];
  }

  /** Ends the stream with the error, as the event that clients throw and as the state of the response. */
  #fail({ type, message, code = type }: StreamError): readonly WireEvent[] {
    this.#hasEnded = true;
    const error = this.#event("error", { code, message, param: null }, "error");
    if (this.#head === undefined) return [error];
    const last = this.#items.at(-1);
    const output = this.#items.map((item) => writeItem(item, item === last ? "incomplete" : "completed"));
    const state: ResponseState = { status: "failed", output, usage: this.#usage, error: { code, message } };
    return [error, this.#lifecycle("failed", state)];
  }

  #lifecycle(name: string, state: ResponseState): WireEvent {
    return this.#event(name, { response: responseObject(this.#startedHead, this.#context, state) });
  }

  #event(name: string, members: JsonObject, type = `response.${name}`): WireEvent {
    return { name: type, data: JSON.stringify({ type, sequence_number: this.#sequenceNumber++, ...members }) };
  }
}

/** Members by which an event names its part. */
function placeOf({ item, part, position }: WrittenPart): JsonObject {
  const place = { item_id: item.id, output_index: item.position };
  if (isContent(part.start)) return { ...place, content_index: position };
  return part.start.type === "thinking" ? { ...place, summary_index: 0 } : place;
}

function callEvent(kind: "function" | "custom"): string {
  return kind === "custom" ? "custom_tool_call_input" : "function_call_arguments";
}
