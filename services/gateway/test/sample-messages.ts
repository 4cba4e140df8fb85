/** Requests and answers of Anthropic's messages API, as its references show them. */

export const MESSAGE_BODY = { model: "echo", max_tokens: 50, messages: [{ role: "user", content: "one two three" }] };

export const MESSAGE_USAGE = { input_tokens: 3, output_tokens: 5 };

/** Whole answer with these blocks. */
export function message(content: readonly object[], more: object = {}): object {
  const head = { id: "msg_1", type: "message", role: "assistant", model: "echo", content };
  return { ...head, stop_reason: "end_turn", stop_sequence: null, usage: MESSAGE_USAGE, ...more };
}

/** Event of a stream. */
export function messageEvent(data: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function blockStart(index: number, block: object): string {
  return messageEvent({ type: "content_block_start", index, content_block: block });
}

export function blockDelta(index: number, delta: object): string {
  return messageEvent({ type: "content_block_delta", index, delta });
}

export function blockStop(index: number): string {
  return messageEvent({ type: "content_block_stop", index });
}

/** Text block in these pieces. */
export function textBlock(index: number, ...pieces: readonly string[]): string {
  const deltas = pieces.map((text) => blockDelta(index, { type: "text_delta", text }));
  return blockStart(index, { type: "text", text: "" }) + deltas.join("") + blockStop(index);
}

/** Stream of these blocks, from its first to its last event. */
export function messageStream(...blocks: readonly string[]): string {
  const { content: _, ...head } = message([]) as { content: unknown };
  const start = { ...head, content: [], stop_reason: null, usage: { input_tokens: 3, output_tokens: 1 } };
  return [
    messageEvent({ type: "message_start", message: start }),
    messageEvent({ type: "ping" }),
    ...blocks,
    messageEvent({
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: 5 },
    }),
    messageEvent({ type: "message_stop" }),
  ].join("");
}
