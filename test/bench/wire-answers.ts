/** Answers of an upstream of each wire: whole, and as a stream of 40 words. */

const WORDS = Array.from({ length: 40 }, (_, word) => `word ${word} `);
const TEXT = WORDS.join("");
const USAGE = { input_tokens: 12, output_tokens: 80, total_tokens: 92 };

const named = (type: string, more: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;

const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "tiny",
  content: [{ type: "text", text: "Hello." }],
};
const MESSAGE_END = { stop_reason: "end_turn", stop_sequence: null };
const MESSAGE_USAGE = { input_tokens: 12, output_tokens: 2 };

const item = (text: string) => ({
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [] }],
});
const response = (status: string, output: readonly object[], usage: object | null) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  status,
  model: "tiny",
  output,
  usage,
});
const PLACE = { item_id: "msg_1", output_index: 0, content_index: 0 };

/** Whole answers, by the end of the path. */
export const WHOLE_ANSWERS: Readonly<Record<string, string>> = {
  "/messages": JSON.stringify({ ...MESSAGE, ...MESSAGE_END, usage: MESSAGE_USAGE }),
  "/responses": JSON.stringify(
    response("completed", [item("Hello.")], { ...USAGE, output_tokens: 2, total_tokens: 14 }),
  ),
  "/embeddings": JSON.stringify({
    object: "list",
    data: [{ object: "embedding", index: 0, embedding: [0.5, -0.25, 0.125] }],
    model: "tiny",
    usage: { prompt_tokens: 12, total_tokens: 12 },
  }),
};

/** Events of streamed answers, by the end of the path. */
export const STREAMED_ANSWERS: Readonly<Record<string, readonly string[]>> = {
  "/messages": [
    named("message_start", {
      message: {
        ...MESSAGE,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...MESSAGE_USAGE, output_tokens: 1 },
      },
    }) + named("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    ...WORDS.map((text) => named("content_block_delta", { index: 0, delta: { type: "text_delta", text } })),
    named("content_block_stop", { index: 0 }) +
      named("message_delta", { delta: MESSAGE_END, usage: { output_tokens: 80 } }) +
      named("message_stop", {}),
  ],
  "/responses": [
    named("response.created", { sequence_number: 0, response: response("in_progress", [], null) }) +
      named("response.output_item.added", {
        sequence_number: 1,
        output_index: 0,
        item: { ...item(""), status: "in_progress", content: [] },
      }) +
      named("response.content_part.added", {
        sequence_number: 2,
        ...PLACE,
        part: { type: "output_text", text: "", annotations: [] },
      }),
    ...WORDS.map((delta, word) => named("response.output_text.delta", { sequence_number: 3 + word, ...PLACE, delta })),
    named("response.output_text.done", { sequence_number: 43, ...PLACE, text: TEXT }) +
      named("response.content_part.done", { sequence_number: 44, ...PLACE, part: item(TEXT).content[0] }) +
      named("response.output_item.done", { sequence_number: 45, output_index: 0, item: item(TEXT) }) +
      named("response.completed", { sequence_number: 46, response: response("completed", [item(TEXT)], USAGE) }),
  ],
};
