import { describe, expect, it } from "vitest";
import { MessagesStreamReader } from "./read-stream.ts";

/** Time limit that work quadratic in the number of members would exceed many times. */
const TIMEOUT_MS = 30_000;

function read(...events: readonly object[]) {
  const reader = new MessagesStreamReader();
  return events.flatMap((event) => reader.read({ data: JSON.stringify(event) }));
}

describe("the usage of a stream of messages", () => {
  it("is read from records with any number of other members", { timeout: TIMEOUT_MS }, () => {
    const others = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`m${index}`, index]));
    const usage = { ...others, output_tokens: 7 };
    expect(read({ type: "message_delta", delta: {}, usage })).toEqual([{ type: "usage", usage: { output: 7 } }]);
  });

  it("is merged from all records, even if later ones omit counts or write null or zero", () => {
    const start = {
      input_tokens: 3,
      cache_read_input_tokens: 4,
      cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 1 },
      service_tier: "standard",
    };
    const events = read(
      { type: "message_start", message: { id: "msg_1", model: "m", usage: start } },
      { type: "message_delta", usage: { input_tokens: 0, cache_read_input_tokens: null, output_tokens: 5 } },
      {
        type: "message_delta",
        usage: { output_tokens_details: { thinking_tokens: 2 } },
        delta: { stop_reason: "end_turn" },
      },
    );
    const usage = {
      input: 9,
      cachedInput: 4,
      cacheWrite: 2,
      cacheWrite5m: 1,
      cacheWrite1h: 1,
      output: 5,
      reasoning: 2,
    };
    expect(events.findLast(({ type }) => type === "usage")).toEqual({ type: "usage", usage });
    expect(events.at(-1)).toMatchObject({ type: "stop", serviceTier: "default" });
  });
});
