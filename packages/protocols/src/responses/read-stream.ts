import type { StreamReader } from "../codec.ts";
import { isObject, type JsonObject, parseOrUndefined, textOf } from "../json.ts";
import type { PartStart, StreamEvent, WireEvent } from "../model.ts";
import { callOf, headOf, listOf, reasoningText, stopOf, SUMMARY_SEPARATOR, tierOf } from "./read-answer.ts";
import { MAX_STREAM_PARTS } from "./response-object.ts";
import { fromEncryptedContent } from "./seals.ts";
import { readResponsesUsage } from "./usage.ts";

/** Part that the stream has started. */
interface ReadPart {
  readonly index: number;
  readonly start: PartStart;
  /** True once there was text. */
  hasText: boolean;
  /** Part of a summary that the last text belongs to. */
  section?: string;
  hasEnded: boolean;
}

/** Reader of the events of a response. Texts are read from their deltas, or from a later event that repeats them if there were none. */
export class ResponsesStreamReader implements StreamReader {
  #hasBegun = false;
  #hasEnded = false;
  #hasToolCalls = false;
  /** Parts by item and, in a message, by position. */
  readonly #parts = new Map<string, ReadPart>();
  #events: StreamEvent[] = [];

  read({ data, name }: WireEvent): readonly StreamEvent[] {
    const event = this.#hasEnded ? undefined : parseOrUndefined(data);
    if (!isObject(event)) return [];
    this.#events = [];
    this.#read(textOf(event["type"]) ?? name ?? "", event);
    return this.#events;
  }

  finish(): readonly StreamEvent[] {
    return [];
  }

  #read(type: string, event: JsonObject): void {
    switch (type) {
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        return this.#begin(event["response"]);
      case "response.output_item.added":
        return this.#addItem(event, event["item"]);
      case "response.content_part.added":
        return void this.#contentPart(event, event["part"]);
      case "response.output_text.delta":
      case "response.refusal.delta":
        return this.#addContent(type, event, event["delta"]);
      case "response.output_text.done":
      case "response.refusal.done":
        return this.#repeatContent(type, event);
      case "response.content_part.done":
        return this.#end(this.#contentPart(event, event["part"]), textOfContent(event["part"]));
      case "response.reasoning_summary_text.delta":
        return this.#addThinking(event, `summary ${positionOf(event["summary_index"])}`);
      case "response.reasoning_text.delta":
        return this.#addThinking(event, `content ${positionOf(event["content_index"])}`);
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        return this.#addText(this.#parts.get(keyOf(event)), event["delta"]);
      case "response.output_item.done":
        return this.#endItem(event, event["item"]);
      case "response.completed":
      case "response.incomplete":
        return this.#complete(event["response"]);
      case "response.failed":
        return this.#fail(isObject(event["response"]) ? event["response"]["error"] : undefined);
      case "error":
        return this.#fail(isObject(event["error"]) ? event["error"] : event);
    }
  }

  #begin(response: unknown): void {
    if (this.#hasBegun || !isObject(response)) return;
    this.#hasBegun = true;
    this.#events.push({ type: "start", ...headOf(response), ...tierOf(response) });
  }

  /** Part with a key, started if necessary; undefined beyond the bound. A part that has ended accepts no more text. */
  #part(key: string, start: PartStart): ReadPart | undefined {
    const known = this.#parts.get(key);
    if (known !== undefined) return known;
    if (this.#parts.size >= MAX_STREAM_PARTS) {
      this.#fail({ type: "server_error", message: "The answer has too many parts." });
      return undefined;
    }
    const part = { index: this.#parts.size, start, hasText: false, hasEnded: false };
    this.#parts.set(key, part);
    this.#hasToolCalls ||= start.type === "tool_call";
    this.#events.push({ type: "part_start", index: part.index, part: start });
    return part;
  }

  #addItem(event: JsonObject, item: unknown): void {
    if (!isObject(item)) return;
    if (item["type"] === "reasoning") this.#part(keyOf(event), { type: "thinking" });
    const call = callOf(item);
    if (call === undefined) return;
    const { id, name, kind } = call;
    this.#part(keyOf(event), { type: "tool_call", id, name, kind });
  }

  #contentPart(event: JsonObject, content: unknown): ReadPart | undefined {
    const type = isObject(content) ? CONTENT.get(content["type"]) : undefined;
    return type === undefined ? undefined : this.#part(contentKeyOf(event), { type });
  }

  #addContent(type: string, event: JsonObject, text: unknown): void {
    const kind = type.startsWith("response.refusal") ? "refusal" : "text";
    this.#addText(this.#part(contentKeyOf(event), { type: kind }), text);
  }

  #repeatContent(type: string, event: JsonObject): void {
    if (this.#parts.get(contentKeyOf(event))?.hasText !== true) {
      this.#addContent(type, event, event["text"] ?? event["refusal"]);
    }
  }

  #addText(part: ReadPart | undefined, text: unknown): void {
    const known = textOf(text);
    if (part === undefined || part.hasEnded || known === undefined) return;
    part.hasText = true;
    this.#events.push({ type: "part_delta", index: part.index, text: known });
  }

  /** Adds a piece of reasoning. The parts of a summary are joined to one text. */
  #addThinking(event: JsonObject, section: string): void {
    const part = this.#part(keyOf(event), { type: "thinking" });
    const text = textOf(event["delta"]);
    if (text === undefined || part === undefined) return;
    this.#addText(part, part.hasText && part.section !== section ? `${SUMMARY_SEPARATOR}${text}` : text);
    part.section = section;
  }

  /** Ends a part. @param whole its whole text, which is used if there were no pieces */
  #end(part: ReadPart | undefined, whole: string): void {
    if (part === undefined || part.hasEnded) return;
    if (!part.hasText) this.#addText(part, whole);
    part.hasEnded = true;
    this.#events.push({ type: "part_end", index: part.index });
  }

  /** Ends all parts of an item, even if it has not started before. */
  #endItem(event: JsonObject, item: unknown): void {
    if (!isObject(item)) return;
    this.#addItem(event, item);
    if (item["type"] === "message") {
      listOf(item["content"]).forEach((content, position) => {
        const part = this.#contentPart({ ...event, content_index: position }, content);
        this.#end(part, textOfContent(content));
      });
      return;
    }
    const part = this.#parts.get(keyOf(event));
    if (part === undefined || part.hasEnded) return;
    if (part.start.type === "tool_call") return this.#end(part, callOf(item)?.arguments ?? "");
    if (!part.hasText) this.#addText(part, reasoningText(item));
    const sealed = textOf(item["encrypted_content"]);
    if (sealed !== undefined) {
      const seal = fromEncryptedContent(sealed, textOf(item["id"]));
      this.#events.push({ type: "part_seal", index: part.index, seal });
    }
    this.#end(part, "");
  }

  /** Reads the end of the stream. Items that had no events are read from the answer that it repeats. */
  #complete(response: unknown): void {
    if (!isObject(response)) return;
    this.#begin(response);
    listOf(response["output"]).forEach((item, position) => this.#endItem({ output_index: position }, item));
    if (this.#hasEnded) return;
    for (const part of this.#parts.values()) this.#end(part, "");
    const usage = readResponsesUsage(response["usage"]);
    if (usage !== undefined) this.#events.push({ type: "usage", usage });
    this.#events.push({ type: "stop", stop: stopOf(response, this.#hasToolCalls), ...tierOf(response) });
    this.#events.push({ type: "end" });
    this.#hasEnded = true;
  }

  #fail(error: unknown): void {
    if (this.#hasEnded) return;
    const { type, code, message } = isObject(error) ? error : {};
    const name = textOf(code);
    const kind = textOf(type);
    this.#events.push({
      type: "error",
      error: {
        type: kind === undefined || kind === "error" ? (name ?? "server_error") : kind,
        message: textOf(message) ?? "",
        ...(name !== undefined && { code: name }),
      },
    });
    this.#hasEnded = true;
  }
}

/** Kinds of the content of a message. */
const CONTENT: ReadonlyMap<unknown, "text" | "refusal"> = new Map([
  ["output_text", "text"],
  ["refusal", "refusal"],
]);

function textOfContent(content: unknown): string {
  return isObject(content) ? (textOf(content["text"]) ?? textOf(content["refusal"]) ?? "") : "";
}

function keyOf(event: JsonObject): string {
  return positionOf(event["output_index"]);
}

function contentKeyOf(event: JsonObject): string {
  return `${keyOf(event)}.${positionOf(event["content_index"])}`;
}

/** Position in an event; 0 if it has none. */
function positionOf(value: unknown): string {
  return typeof value === "number" ? String(value) : "0";
}
