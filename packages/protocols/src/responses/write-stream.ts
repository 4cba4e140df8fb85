import type { StreamState, WireStreamWriter } from "../codec.ts";
import { isFunction, NO_ARGUMENTS } from "../function-arguments.ts";
import type { JsonObject } from "../json.ts";
import type { PartEvent, StreamError, WireEvent } from "../model.ts";
import type { WholeHead } from "../whole-head.ts";
import { addPart, isContent, type ItemPart, type OutputItem } from "./output-items.ts";
import { writeContent, writeItem, writeSummary } from "./output-items.ts";
import { endOf, MAX_STREAM_PARTS, responseObject, type ResponseState, type Status } from "./response-object.ts";
import { explanationOf } from "./write-answer.ts";

const NOT_STARTED: WholeHead = { id: "", model: "", createdAt: 0 };

/** Part of a stream that is written. */
interface WrittenPart {
  readonly item: OutputItem;
  readonly part: ItemPart;
  /** Position of the part in its item. */
  readonly position: number;
  hasEnded: boolean;
}

/**
 * Writer of the events of a response. Its last event repeats the whole answer, which is kept until then. An item is done once the next one
 * starts or the answer ends. Before that, a text can still be added to a message, and its status is not known.
 */
export class ResponsesStreamWriter implements WireStreamWriter {
  readonly partsMax = MAX_STREAM_PARTS;
  #head = NOT_STARTED;
  readonly #items: OutputItem[] = [];
  readonly #parts = new Map<number, WrittenPart>();
  /** Number of open parts, by item that is not done. */
  readonly #open = new Map<OutputItem, number>();
  #hasRefusal = false;
  #sequenceNumber = 0;

  start(head: WholeHead): readonly WireEvent[] {
    this.#head = head;
    const state: ResponseState = { status: "in_progress", output: [] };
    return [this.#lifecycle("created", state), this.#lifecycle("in_progress", state)];
  }

  part(event: PartEvent): readonly WireEvent[] {
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
    }
  }

  end({ stop, usage, serviceTier }: StreamState): readonly WireEvent[] {
    if (serviceTier !== undefined) this.#head = { ...this.#head, serviceTier };
    const explanation = explanationOf(stop, this.#hasRefusal);
    const events = explanation === undefined ? [] : [...this.#explain(explanation)];
    for (const written of this.#parts.values()) if (!written.hasEnded) events.push(...this.#endPart(written));
    const { status, incomplete } = endOf(stop, this.#hasRefusal);
    const last = this.#items.at(-1);
    const statusOf = (item: OutputItem): Status =>
      item === last && status !== "completed" ? "incomplete" : "completed";
    for (const item of this.#items) events.push(...this.#close(item, statusOf(item)));
    const output = this.#items.map((item) => writeItem(item, statusOf(item)));
    const state = { status, output, usage, incomplete };
    return [...events, this.#lifecycle(status === "completed" ? "completed" : "incomplete", state)];
  }

  /** Ends the stream with the error, as the event that clients throw and as the state of the response. */
  fail({ type, message, code = type }: StreamError, { usage }: StreamState): readonly WireEvent[] {
    const error = this.#event("error", { code, message, param: null }, "error");
    if (this.#head === NOT_STARTED) return [error];
    const last = this.#items.at(-1);
    const output = this.#items.map((item) => writeItem(item, item === last ? "incomplete" : "completed"));
    const state: ResponseState = { status: "failed", output, usage, error: { code, message } };
    return [error, this.#lifecycle("failed", state)];
  }

  breakOff({ usage }: StreamState): readonly WireEvent[] {
    return [this.#lifecycle("in_progress", { status: "in_progress", output: [], usage })];
  }

  /** Calls `write` for a part that has started and not ended; returns no events if there is none. */
  #withPart(index: number, write: (written: WrittenPart) => readonly WireEvent[]): readonly WireEvent[] {
    const written = this.#parts.get(index);
    return written === undefined || written.hasEnded ? [] : write(written);
  }

  #startPart(index: number, part: ItemPart): readonly WireEvent[] {
    if (this.#parts.has(index)) return [];
    const last = this.#items.at(-1);
    const item = addPart(this.#items, part, this.#head);
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

  /** Closes an item, unless one of its parts is open. */
  #closeEnded(item: OutputItem): readonly WireEvent[] {
    return this.#open.get(item) === 0 ? this.#close(item, "completed") : [];
  }

  #close(item: OutputItem, status: Status): readonly WireEvent[] {
    if (!this.#open.delete(item)) return [];
    return [this.#event("output_item.done", { output_index: item.position, item: writeItem(item, status) })];
  }

  /** Adds the explanation of a refusal as a separate part, with an index that no other part has. */
  #explain(text: string): readonly WireEvent[] {
    const index = -1;
    const started = this.#startPart(index, { start: { type: "refusal" }, text: "" });
    return [...started, ...this.#withPart(index, (written) => this.#delta(written, text))];
  }

  #lifecycle(name: string, state: ResponseState): WireEvent {
    return this.#event(name, { response: responseObject(this.#head, state) });
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
