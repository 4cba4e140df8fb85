import { describe, expect, it } from "vitest";
import { CHAT } from "../src/domain/wires/chat/chat-wire.ts";
import { MESSAGES } from "../src/domain/wires/messages/messages-wire.ts";
import { RESPONSES } from "../src/domain/wires/responses/responses-wire.ts";
import type { Wire } from "../src/domain/wires/wire.ts";
import type { WireName } from "../src/domain/wires/wire-name.ts";
import { fallbackUnderTest, modelAt } from "./fallback-under-test.ts";
import type { Answer } from "./fake-provider.ts";
import { fakeReply } from "./fake-reply.ts";
import { BODY } from "./pipeline-under-test.ts";
import { CHUNKS } from "./relayed-answer.ts";
import { MESSAGE_BODY, messageEvent, messageStream, textBlock } from "./sample-messages.ts";
import { RESPONSE_BODY, responseEvent, responseStream, textItem } from "./sample-responses.ts";

type TestedWire = "chat" | "messages" | "responses";

const WIRES: Readonly<Record<TestedWire, Wire>> = { chat: CHAT, messages: MESSAGES, responses: RESPONSES };
const BODIES: Readonly<Record<TestedWire, object>> = { chat: BODY, messages: MESSAGE_BODY, responses: RESPONSE_BODY };
/** Errors at the beginning of a stream from an overloaded upstream. */
const OVERLOADED: Readonly<Record<TestedWire, string>> = {
  chat: `: wait\n\ndata: ${JSON.stringify({ error: { message: "no", type: "overloaded_error", code: 503 } })}\n\n`,
  messages:
    messageEvent({ type: "ping" }) +
    messageEvent({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }),
  responses: responseEvent({ type: "error", code: "service_unavailable", message: "no", param: null }),
};
const STREAMS: Readonly<Record<TestedWire, string>> = {
  chat: CHUNKS.join(""),
  messages: messageStream(textBlock(0, "hel", "lo")),
  responses: responseStream([textItem("hello")], (text) => [text.slice(0, 3), text.slice(3)]),
};

/** Answer that streams these parts. */
const streaming =
  (...parts: readonly string[]): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const part of parts) response.write(part);
    response.end();
  };

/** Model at provider `one`, with a fallback at provider `two`; both speak the wire. */
const modelsOf = (upstream: WireName, hasFallback = true) => {
  const wires = new Set([upstream]);
  const fallback = hasFallback ? { fallback: ["two/n"] } : {};
  return [modelAt("one", "m", { wires, ...fallback }), modelAt("two", "n", { wires })];
};

const PAIRS = (["chat", "messages", "responses"] as const).flatMap((client) =>
  (["chat", "messages", "responses"] as const).map((upstream) => ({ client, upstream })),
);

describe.each(PAIRS)("a stream of $upstream, to a client of $client, that begins with an error", (pair) => {
  const { client, upstream } = pair;
  const request = { ...BODIES[client], model: "m", stream: true };
  const serve = (one: Answer, two: Answer, hasFallback = true) => {
    const options = { wire: WIRES[client] };
    return fallbackUnderTest(modelsOf(upstream, hasFallback), { one, two }, options);
  };

  it("is a failed attempt, free of charge, after which the fallback answers", async () => {
    await using gateway = await serve(streaming(OVERLOADED[upstream]), streaming(STREAMS[upstream]));
    const { reply, refusal } = await gateway.serve(request);
    expect(refusal).toBeUndefined();
    if (client === upstream && client !== "chat") expect(reply.text).toBe(STREAMS[upstream]);
    expect(reply.text).toMatch(/hel[^]*lo/);
    expect(reply.text).not.toMatch(/verloaded|unavailable/);
    expect(gateway.usage.settlements).toMatchObject([
      {
        facts: { provider: "two" },
        outcome: "succeeded",
        estimated: false,
        attempts: [
          { provider: "one", model: "m", status: 200, errorCode: "upstream_overloaded" },
          { provider: "two", model: "n", status: 200, errorCode: "" },
        ],
      },
    ]);
  });

  it("is passed on, free of charge, if no other attempt is left", async () => {
    for (const hasFallback of [false, true]) {
      const failing = streaming(OVERLOADED[upstream]);
      await using gateway = await serve(failing, failing, hasFallback);
      const { reply, refusal } = await gateway.serve(request);
      // In untranslated messages, a ping has been sent before the error.
      if (reply.begun) expect(reply.text).toContain('"type":"overloaded_error"');
      else expect(refusal).toMatchObject({ status: 503, retryable: true });
      expect(gateway.usage.settlements).toMatchObject([{ outcome: "failed", costNanoUsd: 0n }]);
      expect(gateway.calls()).toEqual({ one: 1, two: hasFallback ? 1 : 0 });
    }
  });
});

describe("a stream that has begun", () => {
  const request = { ...MESSAGE_BODY, model: "m", stream: true };

  it("is passed on with its error: the upstream has worked for it", async () => {
    const [start = ""] = messageStream().split(/(?<=\n\n)/);
    const one = streaming(start, OVERLOADED.messages);
    const options = { wire: MESSAGES };
    await using gateway = await fallbackUnderTest(modelsOf("messages"), { one, two: one }, options);
    const { reply } = await gateway.serve(request);
    expect(reply.text).toContain("message_start");
    expect(reply.text).toContain("overloaded_error");
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
    const [settlement] = gateway.usage.settlements;
    expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
  });

  it("is sent on with its first event, before the second one arrives", async () => {
    const [first = "", ...others] = messageStream(textBlock(0, "hello")).split(/(?<=\n\n)/);
    const passed = Promise.withResolvers<void>();
    const one: Answer = async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(first);
      await passed.promise;
      response.end(others.join(""));
    };
    const options = { wire: MESSAGES };
    await using gateway = await fallbackUnderTest(modelsOf("messages"), { one, two: one }, options);
    const reply = fakeReply(() => passed.resolve());
    await gateway.serve(request, reply);
    expect(reply.text).toBe(first + others.join(""));
  });
});

it("a request that is cancelled before the first event of its stream ends the call to its upstream, and makes no other", async () => {
  const reply = fakeReply();
  const one: Answer = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(": wait\n\n");
    setTimeout(() => reply.cancel("client_gone"), 30);
  };
  await using gateway = await fallbackUnderTest(modelsOf("chat"), { one, two: one });
  await gateway.serve({ ...BODY, model: "m", stream: true }, reply);
  await expect.poll(() => gateway.providers.get("one")?.requests[0]?.aborted).toBe(true);
  expect(gateway.calls()).toEqual({ one: 1, two: 0 });
  expect(gateway.usage.settlements).toMatchObject([{ outcome: "cancelled", facts: { provider: "one" } }]);
});

it("a whole answer that is an error with a status of success is a failed attempt too", async () => {
  const one: Answer = (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message: "no", code: 502 } }));
  };
  const options = { wire: CHAT };
  await using gateway = await fallbackUnderTest(modelsOf("chat"), { one, two: streaming(STREAMS.chat) }, options);
  const { reply } = await gateway.serve({ ...BODY, model: "m" });
  expect(reply.text).toContain("hello");
  expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "two" }, attempts: { length: 2 } }]);
});
