import { isObject, type JsonObject } from "../../wire/json.ts";
import { formatNamedSse, type SseEvent } from "../../wire/sse.ts";
import type { AnswerAssembly } from "../answer-format.ts";

/** Events of a whole message, as its upstream would have streamed it, but for the last one. */
export function* eventsOf(message: JsonObject, usage: JsonObject | undefined): Generator<SseEvent> {
  const { content, stop_reason: stopReason, stop_sequence: stopSequence, ...head } = message;
  yield event({ type: "message_start", message: { ...head, content: [], stop_reason: null, stop_sequence: null } });
  const blocks = Array.isArray(content) ? content.filter(isObject) : [];
  for (const [index, block] of blocks.entries()) {
    const [start, deltas] = startAndDeltas(block);
    yield event({ type: "content_block_start", index, content_block: start });
    for (const delta of deltas) yield event({ type: "content_block_delta", index, delta });
    yield event({ type: "content_block_stop", index });
  }
  const delta = { stop_reason: stopReason ?? "end_turn", stop_sequence: stopSequence ?? null };
  yield event({ type: "message_delta", delta, ...(usage && { usage }) });
}

function event(content: JsonObject & { readonly type: string }): SseEvent {
  const data = JSON.stringify(content);
  return { raw: formatNamedSse(content.type, data), data, name: content.type };
}

/** Splits a block into what starts it and what follows. Blocks of other types are sent whole. */
function startAndDeltas(block: JsonObject): readonly [JsonObject, readonly JsonObject[]] {
  const { type, text, thinking, signature, input } = block;
  if (type === "text") return [{ ...block, text: "" }, [{ type: "text_delta", text: text ?? "" }]];
  if (type === "thinking") {
    const deltas = [
      { type: "thinking_delta", thinking: thinking ?? "" },
      { type: "signature_delta", signature: signature ?? "" },
    ];
    return [{ type, thinking: "", signature: "" }, deltas];
  }
  if (type !== "tool_use") return [block, []];
  return [{ ...block, input: {} }, [{ type: "input_json_delta", partial_json: JSON.stringify(input ?? {}) }]];
}

/** Block of a message as far as its events have come. */
interface AssembledBlock {
  readonly block: JsonObject;
  /** Input of a tool call so far. */
  json: string;
  citations: unknown[] | undefined;
}

function addMembers(to: Map<string, unknown>, members: unknown): void {
  if (isObject(members)) for (const [name, value] of Object.entries(members)) to.set(name, value);
}

/** Whole message that is made of the events of a stream. */
export class AssembledMessage implements AnswerAssembly {
  /** Members by name. Each is added in place: a copy for each event would take time by the square of their number. */
  readonly #message = new Map<string, unknown>();
  readonly #usage = new Map<string, unknown>();
  readonly #blocks = new Map<unknown, AssembledBlock>();

  add(chunk: JsonObject): void {
    const { type, message, index, content_block: block, delta, usage } = chunk;
    if (type === "message_start" && isObject(message)) {
      addMembers(this.#message, message);
      addMembers(this.#usage, message["usage"]);
    } else if (type === "content_block_start" && isObject(block)) {
      const { citations } = block;
      const known = Array.isArray(citations) ? [...(citations as unknown[])] : undefined;
      this.#blocks.set(index, { block: { ...block }, json: "", citations: known });
    } else if (type === "content_block_delta" && isObject(delta)) this.#addDelta(index, delta);
    else if (type === "message_delta") {
      addMembers(this.#message, delta);
      addMembers(this.#usage, usage);
    }
  }

  toJson(): JsonObject {
    const content = [...this.#blocks.values()].map(({ block, json, citations }) =>
      Object.assign({}, block, citations && { citations }, json === "" ? {} : { input: inputOf(json) }),
    );
    const usage = this.#usage.size === 0 ? {} : { usage: Object.fromEntries(this.#usage) };
    return { ...Object.fromEntries(this.#message), ...usage, content };
  }

  #addDelta(index: unknown, { text, thinking, signature, partial_json: json, citation }: JsonObject): void {
    const open = this.#blocks.get(index);
    if (open === undefined) return;
    const { block } = open;
    for (const [name, piece] of Object.entries({ text, thinking, signature })) {
      if (typeof piece !== "string") continue;
      const before = block[name];
      Object.assign(block, { [name]: typeof before === "string" ? before + piece : piece });
    }
    if (typeof json === "string") open.json += json;
    if (citation !== undefined) {
      open.citations ??= [];
      open.citations.push(citation);
    }
  }
}

/** Input of a tool call; its text if it is not JSON. */
function inputOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}
