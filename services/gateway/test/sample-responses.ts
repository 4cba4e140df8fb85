/** Requests and answers of OpenAI's responses API, as its reference shows them. */

export const RESPONSE_BODY = { model: "echo", max_output_tokens: 50, input: "one two three" };

export const RESPONSE_USAGE = {
  input_tokens: 3,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 8,
};

interface Part {
  readonly type: string;
  readonly text?: string;
  readonly refusal?: string;
}

export interface Item {
  readonly type: string;
  readonly content?: readonly Part[];
  readonly summary?: readonly Part[];
  readonly arguments?: string;
  readonly input?: string;
  readonly [member: string]: unknown;
}

/** Whole answer with these items. */
export function response(output: readonly object[], more: object = {}): object {
  return {
    id: "resp_1",
    object: "response",
    created_at: 1_700_000_000,
    status: "completed",
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: 50,
    model: "echo",
    output,
    parallel_tool_calls: true,
    store: true,
    temperature: 1,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    usage: RESPONSE_USAGE,
    metadata: {},
    ...more,
  };
}

/** Message item of these texts. */
export function textItem(...texts: readonly string[]): Item {
  const content = texts.map((text) => ({ type: "output_text", text, annotations: [], logprobs: [] }));
  return { type: "message", id: "msg_1", status: "completed", role: "assistant", content };
}

export const callItem = (json: string, name = "f"): Item => {
  return { type: "function_call", id: "fc_1", call_id: "call_1", name, arguments: json, status: "completed" };
};

export const reasoningItem = (text: string): Item => {
  return { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text }] };
};

/** Event of a stream. */
export function responseEvent(data: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/**
 * Stream of these items, whose texts come in pieces, from its first to its last event.
 *
 * @param cut pieces of a text
 */
export function responseStream(items: readonly Item[], cut: (text: string) => readonly string[]): string {
  let number = 0;
  const event = (type: string, members: object): string => {
    return responseEvent({ type: `response.${type}`, sequence_number: number++, ...members });
  };
  const begun = response([], { status: "in_progress", usage: null });
  const pieces = (type: string, place: object, text: string): string => {
    return cut(text)
      .map((delta) => event(`${type}.delta`, { ...place, delta }))
      .join("");
  };
  let stream = event("created", { response: begun }) + event("in_progress", { response: begun });
  for (const [output_index, item] of items.entries()) {
    const place = { item_id: item["id"], output_index };
    const { content = [], summary = [], arguments: json, input } = item;
    stream += event("output_item.added", { output_index, item: emptied(item) });
    for (const [summary_index, part] of summary.entries()) {
      const ofPart = { ...place, summary_index };
      const { text = "" } = part;
      stream += event("reasoning_summary_part.added", { ...ofPart, part: { ...part, text: "" } });
      stream += pieces("reasoning_summary_text", ofPart, text);
      stream += event("reasoning_summary_text.done", { ...ofPart, text });
      stream += event("reasoning_summary_part.done", { ...ofPart, part });
    }
    for (const [content_index, part] of content.entries()) {
      const ofPart = { ...place, content_index };
      const { text = "" } = part;
      stream += event("content_part.added", { ...ofPart, part: { ...part, text: "" } });
      stream += pieces("output_text", ofPart, text);
      stream += event("output_text.done", { ...ofPart, text });
      stream += event("content_part.done", { ...ofPart, part });
    }
    if (json !== undefined) {
      stream += pieces("function_call_arguments", place, json);
      stream += event("function_call_arguments.done", { ...place, arguments: json });
    }
    if (input !== undefined) {
      stream += pieces("custom_tool_call_input", place, input);
      stream += event("custom_tool_call_input.done", { ...place, input });
    }
    stream += event("output_item.done", { output_index, item });
  }
  return stream + event("completed", { response: response(items) });
}

/** Item as a stream begins it. */
function emptied({ content, summary, arguments: json, input, ...head }: Item): object {
  return {
    ...head,
    status: "in_progress",
    ...(content !== undefined && { content: [] }),
    ...(summary !== undefined && { summary: [] }),
    ...(json !== undefined && { arguments: "" }),
    ...(input !== undefined && { input: "" }),
  };
}
