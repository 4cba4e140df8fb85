import { describe, expect, it } from "vitest";
import { AssembledMessage, eventsOf } from "./message-events.ts";

/** Time-out that work quadratic in what is added here would exceed many times. */
const TIMEOUT_MS = 30_000;
const MANY = 100_000;

describe("a message that is assembled of its events", () => {
  it("is the message that they were made of", () => {
    const citation = { type: "char_location", cited_text: "x" };
    const content = [
      { type: "text", text: "hi", citations: [citation] },
      { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
    ];
    const message = { id: "msg_1", content, stop_reason: "end_turn", stop_sequence: null, usage: { output_tokens: 1 } };
    const assembled = new AssembledMessage();
    for (const { data = "" } of eventsOf(message, { output_tokens: 2 })) assembled.add(JSON.parse(data));
    expect(assembled.toJson()).toEqual({ ...message, usage: { output_tokens: 2 } });
  });

  it("has as many citations, and members of its usage and its end, as there are", { timeout: TIMEOUT_MS }, () => {
    const assembled = new AssembledMessage();
    assembled.add({ type: "message_start", message: { id: "msg_1", usage: { input_tokens: 1, ["__proto__"]: 2 } } });
    assembled.add({ type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: [0] } });
    for (let index = 1; index < MANY; index++) {
      assembled.add({ type: "content_block_delta", index: 0, delta: { type: "citations_delta", citation: index } });
      assembled.add({ type: "message_delta", delta: { [`d${index}`]: 1 }, usage: { [`u${index}`]: 1 } });
    }
    const { content, usage, ...members } = assembled.toJson();
    const [block] = content as { citations: number[] }[];
    expect([block?.citations.length, block?.citations[0], block?.citations.at(-1)]).toEqual([MANY, 0, MANY - 1]);
    expect(Object.keys(usage as object)).toHaveLength(MANY + 1);
    expect(Object.keys(members)).toHaveLength(MANY);
  });
});
