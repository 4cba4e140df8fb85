import { isObject, type JsonObject } from "../../wire/json.ts";
import { formatNamedSse, type SseEvent } from "../../wire/sse.ts";
import type { AnswerAssembly } from "../answer-format.ts";

/** Events of a whole response, as its upstream would have streamed it. */
export function* eventsOf(response: JsonObject): Generator<SseEvent> {
  let sequenceNumber = 0;
  const event = (type: string, members: JsonObject): SseEvent => {
    const data = JSON.stringify({ type, sequence_number: sequenceNumber++, ...members });
    return { raw: formatNamedSse(type, data), data, name: type };
  };
  const begun = { ...response, status: "in_progress", output: [], usage: null, incomplete_details: null };
  yield event("response.created", { response: begun });
  yield event("response.in_progress", { response: begun });
  for (const [index, item] of listOf(response["output"]).entries()) {
    const ofItem = { output_index: index };
    yield event("response.output_item.added", { ...ofItem, item: emptied(item) });
    for (const [type, members] of eventsOfItem(item)) {
      yield event(`response.${type}`, { item_id: item["id"], ...ofItem, ...members });
    }
    yield event("response.output_item.done", { ...ofItem, item });
  }
  yield event(response["status"] === "incomplete" ? "response.incomplete" : "response.completed", { response });
}

function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Item without the texts that follow in pieces. */
function emptied(item: JsonObject): JsonObject {
  const isInPieces = isObject(item) && (item["type"] === "message" || item["type"] === "reasoning");
  return {
    ...item,
    ...("status" in item && { status: "in_progress" }),
    ...(isInPieces && Array.isArray(item["content"]) && { content: [] }),
    ...(isInPieces && Array.isArray(item["summary"]) && { summary: [] }),
    ...(typeof item["arguments"] === "string" && { arguments: "" }),
    ...(item["type"] === "custom_tool_call" && { input: "" }),
  };
}

type Named = readonly [string, JsonObject];

function* eventsOfItem(item: JsonObject): Generator<Named> {
  const { arguments: json, input, type } = item;
  for (const [index, part] of listOf(item["summary"]).entries()) {
    const { text } = part;
    const place = { summary_index: index };
    yield ["reasoning_summary_part.added", { ...place, part: { ...part, text: "" } }];
    yield ["reasoning_summary_text.delta", { ...place, delta: text }];
    yield ["reasoning_summary_text.done", { ...place, text }];
    yield ["reasoning_summary_part.done", { ...place, part }];
  }
  for (const [index, part] of listOf(item["content"]).entries()) yield* eventsOfContent(part, { content_index: index });
  if (typeof json === "string") {
    yield ["function_call_arguments.delta", { delta: json }];
    yield ["function_call_arguments.done", { arguments: json }];
  }
  if (type === "custom_tool_call" && typeof input === "string") {
    yield ["custom_tool_call_input.delta", { delta: input }];
    yield ["custom_tool_call_input.done", { input }];
  }
}

function* eventsOfContent(part: JsonObject, place: JsonObject): Generator<Named> {
  const { type } = part;
  const member = type === "refusal" ? "refusal" : "text";
  const text = part[member];
  const name = typeof type === "string" && /^(?:output_text|refusal|reasoning_text)$/.test(type) ? type : undefined;
  const logprobs = name === "output_text" ? { logprobs: [] } : {};
  yield ["content_part.added", { ...place, part: name === undefined ? part : { ...part, [member]: "" } }];
  if (name !== undefined) {
    yield [`${name}.delta`, { ...place, delta: text, ...logprobs }];
    yield [`${name}.done`, { ...place, [member]: text, ...logprobs }];
  }
  yield ["content_part.done", { ...place, part }];
}

/** Whole response of a stream: the one that its last event repeats. */
export class AssembledResponse implements AnswerAssembly {
  #response: JsonObject = {};
  readonly #items = new Map<unknown, JsonObject>();

  add({ type, response, output_index: index, item }: JsonObject): void {
    if (isObject(response)) this.#response = response;
    if (type === "response.output_item.done" && isObject(item)) this.#items.set(index, item);
  }

  /** The response; with the items of the stream where it repeats none. */
  toJson(): JsonObject {
    const { output } = this.#response;
    const repeats = Array.isArray(output) && output.length > 0;
    return repeats ? this.#response : { ...this.#response, output: [...this.#items.values()] };
  }
}
