import { MAX_OPEN_PARTS, type StreamReader } from "../codec.ts";
import { isObject, type JsonObject, parseOrUndefined, textOf } from "../json.ts";
import type { PartStart, StreamEvent, WireEvent } from "../model.ts";
import { toArguments } from "./arguments.ts";
import { tierOf } from "./read-answer.ts";
import { fromSignature } from "./signature.ts";
import { readStop } from "./stop.ts";
import { readMessagesUsage, USAGE_MEMBERS } from "./usage.ts";

interface OpenBlock {
  readonly index: number;
  /** Input in the start of a tool use, for a stream without pieces of it. */
  input: string;
  signature: string;
}

/** Maximum length of a signature that arrives in pieces. */
const MAX_SIGNATURE_CHARS = 1_000_000;

/** Reader of the events of a message. */
export class MessagesStreamReader implements StreamReader {
  /** Open blocks, by their index at the upstream. */
  readonly #open = new Map<unknown, OpenBlock>();
  #parts = 0;
  /** Usage so far. Later records can omit counts of earlier ones, or write them as null or zero. */
  readonly #usage: JsonObject = {};
  #hasStopped = false;
  #hasEnded = false;

  read({ data }: WireEvent): readonly StreamEvent[] {
    const event = this.#hasEnded ? undefined : parseOrUndefined(data);
    if (!isObject(event)) return [];
    switch (event["type"]) {
      case "message_start":
        return isObject(event["message"]) ? this.#start(event["message"]) : [];
      case "content_block_start":
        return isObject(event["content_block"]) ? this.#startBlock(event["index"], event["content_block"]) : [];
      case "content_block_delta":
        return isObject(event["delta"]) ? this.#addDelta(this.#open.get(event["index"]), event["delta"]) : [];
      case "content_block_stop":
        return this.#endBlock(event["index"]);
      case "message_delta":
        return [...this.#addUsage(event["usage"]), ...(isObject(event["delta"]) ? this.#stop(event["delta"]) : [])];
      case "message_stop":
        return this.#end();
      case "error":
        return this.#fail(isObject(event["error"]) ? event["error"] : {});
      default:
        return [];
    }
  }

  finish(): readonly StreamEvent[] {
    return this.#hasStopped && !this.#hasEnded ? this.#end() : [];
  }

  #start(message: JsonObject): readonly StreamEvent[] {
    const { usage } = message;
    const serviceTier = tierOf(usage);
    // The output of the first record is a placeholder.
    const known = isObject(usage) ? { ...usage, output_tokens: null } : undefined;
    return [
      {
        type: "start",
        id: textOf(message["id"]) ?? "",
        model: textOf(message["model"]) ?? "",
        ...(serviceTier !== undefined && { serviceTier }),
      },
      ...this.#addUsage(known),
    ];
  }

  #addUsage(record: unknown): readonly StreamEvent[] {
    if (!isObject(record)) return [];
    for (const name of USAGE_MEMBERS) {
      const value = record[name] ?? undefined;
      const isEmpty = value === undefined || (value === 0 && this.#usage[name] !== undefined);
      if (!isEmpty) this.#usage[name] = value;
    }
    const usage = readMessagesUsage(this.#usage);
    return usage === undefined ? [] : [{ type: "usage", usage }];
  }

  #startBlock(at: unknown, block: JsonObject): readonly StreamEvent[] {
    const start = startOf(block);
    if (start === undefined || this.#open.has(at)) return [];
    if (this.#open.size >= MAX_OPEN_PARTS) return this.#fail({ message: `more than ${MAX_OPEN_PARTS} open blocks` });
    const index = this.#parts++;
    const input = start.type === "tool_call" && hasMembers(block["input"]) ? toArguments(block["input"]) : "";
    this.#open.set(at, { index, input, signature: textOf(block["signature"]) ?? "" });
    const text = textOf(block["text"]) ?? textOf(block["thinking"]);
    const data = block["type"] === "redacted_thinking" ? textOf(block["data"]) : undefined;
    return [
      { type: "part_start", index, part: start },
      ...(text === undefined ? [] : [{ type: "part_delta" as const, index, text }]),
      ...(data === undefined
        ? []
        : [{ type: "part_seal" as const, index, seal: { wire: "messages", kind: "encrypted", value: data } as const }]),
    ];
  }

  #addDelta(block: OpenBlock | undefined, delta: JsonObject): readonly StreamEvent[] {
    if (block === undefined) return [];
    const { type } = delta;
    if (type === "signature_delta") {
      const signature = block.signature + (textOf(delta["signature"]) ?? "");
      if (signature.length <= MAX_SIGNATURE_CHARS) block.signature = signature;
      return [];
    }
    const member = DELTAS.get(type);
    const text = member === undefined ? undefined : textOf(delta[member]);
    if (text === undefined) return [];
    block.input = "";
    return [{ type: "part_delta", index: block.index, text }];
  }

  #endBlock(at: unknown): readonly StreamEvent[] {
    const block = this.#open.get(at);
    if (block === undefined) return [];
    this.#open.delete(at);
    const { index, input, signature } = block;
    return [
      ...(input === "" ? [] : [{ type: "part_delta" as const, index, text: input }]),
      ...(signature === "" ? [] : [{ type: "part_seal" as const, index, seal: fromSignature(signature) }]),
      { type: "part_end", index },
    ];
  }

  #stop(delta: JsonObject): readonly StreamEvent[] {
    const stop = readStop(delta);
    if (stop.reason === undefined) return [];
    this.#hasStopped = true;
    const serviceTier = tierOf(this.#usage);
    return [{ type: "stop", stop, ...(serviceTier !== undefined && { serviceTier }) }];
  }

  #end(): readonly StreamEvent[] {
    const rest = [...this.#open.keys()].flatMap((at) => this.#endBlock(at));
    this.#hasEnded = true;
    return [...rest, { type: "end" }];
  }

  #fail({ type, message }: JsonObject): readonly StreamEvent[] {
    this.#hasEnded = true;
    return [{ type: "error", error: { type: textOf(type) ?? "api_error", message: textOf(message) ?? "" } }];
  }
}

/** Member that holds the text, for each kind of delta. */
const DELTAS: ReadonlyMap<unknown, string> = new Map([
  ["text_delta", "text"],
  ["thinking_delta", "thinking"],
  ["input_json_delta", "partial_json"],
]);

/** Part that a block starts. @returns undefined for a block that no other wire has */
function startOf(block: JsonObject): PartStart | undefined {
  switch (block["type"]) {
    case "text":
      return { type: "text" };
    case "thinking":
    case "redacted_thinking":
      return { type: "thinking" };
    case "tool_use":
      return { type: "tool_call", id: textOf(block["id"]) ?? "", name: textOf(block["name"]) ?? "", kind: "function" };
    default:
      return undefined;
  }
}

function hasMembers(input: unknown): boolean {
  return isObject(input) && Object.keys(input).length > 0;
}
