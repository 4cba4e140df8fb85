import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { Refusal } from "../src/domain/errors/refusal.ts";
import { CHAT } from "../src/domain/wires/chat/chat-wire.ts";
import { MESSAGES } from "../src/domain/wires/messages/messages-wire.ts";
import { RESPONSES } from "../src/domain/wires/responses/responses-wire.ts";
import type { WireName } from "../src/domain/wires/wire-name.ts";
import type { Wire } from "../src/domain/wires/wire.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { answeringUpstream } from "./fake-upstream.ts";
import { pipelineUnderTest } from "./pipeline-under-test.ts";
import { chunk, DONE, event, HEAD, STREAM, USAGE } from "./relayed-answer.ts";
import { replaced } from "./replaced-values.ts";
import { blockDelta, blockStart, blockStop, MESSAGE_BODY, messageStream, textBlock } from "./sample-messages.ts";
import { callItem, reasoningItem, RESPONSE_BODY, responseStream, textItem } from "./sample-responses.ts";

/** Some of the values that a place may have: one that is not a text, number or key, and one of another type or out of range. */
const VALUES: readonly unknown[] = [{ toString: 1, valueOf: 1 }, -1];

const CALL = { index: 0, id: "a", type: "function", function: { name: "f", arguments: "{}" } };

/** Streams with every kind of event that the gateway reads. */
const STREAMS: Readonly<Partial<Record<WireName, string>>> = {
  chat: [
    event(chunk({ role: "assistant", content: "" })),
    event(chunk({ reasoning_content: "r" })),
    event({ ...chunk({ content: "hel" }), logprobs: { content: [{ token: "hel", bytes: [104] }] } }),
    event(chunk({ refusal: "no" })),
    event(chunk({ tool_calls: [CALL] })),
    event({ choices: [{ index: 0, delta: {}, finish_reason: "tool_calls", usage: USAGE }], ...HEAD }),
    event({ ...HEAD, object: "chat.completion.chunk", choices: [], usage: USAGE, service_tier: "default" }),
    DONE,
  ].join(""),
  messages: messageStream(
    blockStart(0, { type: "thinking", thinking: "" }) +
      blockDelta(0, { type: "thinking_delta", thinking: "t" }) +
      blockDelta(0, { type: "signature_delta", signature: "s" }) +
      blockStop(0),
    textBlock(1, "hel", "lo"),
    blockStart(2, { type: "text", text: "" }) +
      blockDelta(2, { type: "citations_delta", citation: { type: "char_location", cited_text: "c" } }) +
      blockStop(2),
    blockStart(3, { type: "tool_use", id: "a", name: "f", input: {} }) +
      blockDelta(3, { type: "input_json_delta", partial_json: '{"x":1}' }) +
      blockStop(3),
  ),
  responses: responseStream([reasoningItem("why"), textItem("hello"), callItem("{}")], (text) => [text]),
};

const ROUTES: readonly { readonly wire: Wire; readonly body: object }[] = [
  { wire: CHAT, body: STREAM },
  { wire: MESSAGES, body: { ...MESSAGE_BODY, stream: true } },
  { wire: RESPONSES, body: { ...RESPONSE_BODY, stream: true } },
];

/** Copies of a stream, each with one place of one event replaced. */
function* replacedStreams(stream: string, by: unknown): Generator<string> {
  const blocks = stream.split("\n\n").filter((block) => block !== "");
  for (const [index, block] of blocks.entries()) {
    const [head, data = ""] = block.split("data: ");
    if (data === "[DONE]") continue;
    for (const changed of replaced(JSON.parse(data), by)) {
      yield [...blocks.with(index, `${head}data: ${JSON.stringify(changed)}`), ""].join("\n\n");
    }
  }
}

const spec: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "redact", appliesTo: "both" }],
};

/** Faults of streams with a place replaced, except refusals and faults of the upstream. */
async function faultsOf(wire: Wire, body: object, upstreamWire: WireName, isGuarded: boolean) {
  const faults = new Set<string>();
  let places = 0;
  for (const by of VALUES) {
    for (const stream of replacedStreams(STREAMS[upstreamWire] ?? "", by)) {
      places++;
      const upstream = answeringUpstream("text/event-stream", [stream]);
      const guardrails = fakeGuardrailDirectory(isGuarded ? [spec] : []);
      const { serve, usage } = pipelineUnderTest({ upstream, wire, wires: new Set([upstreamWire]), guardrails });
      const { refusal } = await serve(body);
      const isFault = refusal !== undefined && !(refusal instanceof Refusal);
      if (isFault || usage.settlements.some(({ errorCode }) => errorCode === "internal_error"))
        faults.add(`${String(refusal)} ${JSON.stringify(by)} ${refusal?.stack?.split("\n")[1] ?? stream}`);
      expect(usage.settlements).toHaveLength(1);
    }
  }
  expect(places).toBeGreaterThan(50);
  return [...faults];
}

/** Translated streams are guarded, so that the reader of unguarded streams is covered too. */
const CASES = ROUTES.flatMap(({ wire, body }) => {
  return (["chat", "messages", "responses"] as const).flatMap((upstreamWire) => {
    const kinds = upstreamWire === wire.name ? (["guarded", "unguarded"] as const) : (["guarded"] as const);
    return kinds.map((guards) => ({ wire, body, name: wire.name, upstreamWire, guards }));
  });
});

describe.each(CASES)("a stream of $name over $upstreamWire, $guards", ({ wire, body, upstreamWire, guards }) => {
  it("is passed on or ends with an error, whatever the value of any member of its events", async () => {
    expect(await faultsOf(wire, body, upstreamWire, guards === "guarded")).toEqual([]);
  });
});
