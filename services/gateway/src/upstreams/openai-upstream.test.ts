import { afterEach, describe, expect, it } from "vitest";
import { type Answer, sendJson, startFakeProvider, type FakeProvider } from "../../test/fake-provider.ts";
import { collect } from "../domain/response/answer-body.ts";
import { type CallOptions, createOpenAiUpstream, TIMEOUTS, type UpstreamTimeouts } from "./openai-upstream.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

function callWith(timeouts: Partial<UpstreamTimeouts>, more: Partial<CallOptions> = {}): CallOptions {
  return { headers: {}, query: "", timeouts: { ...TIMEOUTS, ...timeouts }, ...more };
}

async function open(answer: Answer, timeouts: Partial<UpstreamTimeouts> = {}, apiKey?: string) {
  const server: FakeProvider = await startFakeProvider(answer);
  const upstream = createOpenAiUpstream({ baseUrl: new URL(server.baseUrl), apiKey, call: callWith(timeouts) });
  opened.push(server, upstream);
  const send = (signal = new AbortController().signal) =>
    upstream.chatCompletion({ model: "m", body: '{"a":1}', streamed: false, signal });
  return { server, send };
}

describe("an OpenAI-compatible upstream", () => {
  it("gets the body and the operator's key, and no header of the client", async () => {
    const { server, send } = await open((response) => sendJson(response, 200, { ok: 1 }), {}, "sk-secret");
    const answer = await send();
    expect(answer).toMatchObject({ status: 200, contentType: "application/json" });
    expect((await collect(answer.body, 1000)).toString()).toBe('{"ok":1}');
    expect(server.requests[0]).toMatchObject({
      path: "/v1/chat/completions",
      body: '{"a":1}',
      headers: { authorization: "Bearer sk-secret", "user-agent": "routeplane" },
    });
  });

  it("gets no authorization if no key is configured", async () => {
    const { server, send } = await open((response) => sendJson(response, 200, {}));
    await send();
    expect(server.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("that redirects is not followed", async () => {
    const { server, send } = await open((response) => {
      response.writeHead(307, { location: `${server.baseUrl}/elsewhere` }).end();
    });
    expect((await send()).status).toBe(307);
    expect(server.requests).toHaveLength(1);
  });

  it("that does not answer times out", async () => {
    const { send } = await open(() => {}, { headMs: 100 });
    await expect(send()).rejects.toMatchObject({ name: "UpstreamFault", kind: "timeout", isSent: true });
  });

  it("that stops in the middle of its answer times out", async () => {
    const { send } = await open((response) => void response.writeHead(200).write("{"), { idleMs: 100 });
    const { body } = await send();
    await expect(collect(body, 1000)).rejects.toMatchObject({ name: "UpstreamFault", kind: "timeout" });
  });

  it("that breaks the connection off is a fault", async () => {
    const { send } = await open((response) => {
      response.writeHead(200, { "content-length": "100" }).write("{");
      setTimeout(() => response.destroy(), 20);
    });
    const { body } = await send();
    await expect(collect(body, 1000)).rejects.toMatchObject({ name: "UpstreamFault" });
  });

  it("that does not listen is unreachable", async () => {
    const upstream = createOpenAiUpstream({ baseUrl: new URL("http://127.0.0.1:9/v1"), apiKey: undefined });
    opened.push(upstream);
    const { signal } = new AbortController();
    const sent = upstream.chatCompletion({ model: "m", body: "{}", streamed: false, signal });
    await expect(sent).rejects.toMatchObject({ name: "UpstreamFault", kind: "unreachable", isSent: false });
  });

  it.each([
    ["an unknown host name", "http://nobody.invalid/v1"],
    ["a port that does not speak TLS", "https"],
  ])("at %s was sent nothing", async (_, address) => {
    const { server } = await open(() => {});
    const baseUrl = new URL(address === "https" ? server.baseUrl.replace("http:", "https:") : address);
    const upstream = createOpenAiUpstream({ baseUrl, apiKey: undefined, call: callWith({ connectMs: 1_000 }) });
    opened.push(upstream);
    const sent = upstream.chatCompletion({
      model: "m",
      body: "{}",
      streamed: false,
      signal: new AbortController().signal,
    });
    await expect(sent).rejects.toMatchObject({ name: "UpstreamFault", isSent: false });
    expect(server.requests).toEqual([]);
  });

  it("that does not take the connection times out, and was sent nothing, also if the call is cancelled meanwhile", async () => {
    for (const isCut of [false, true]) {
      // An address reserved for documentation: no host answers, and no router reports an error.
      const options = {
        baseUrl: new URL("http://192.0.2.1/v1"),
        apiKey: undefined,
        call: callWith({ connectMs: 200 }),
      };
      const upstream = createOpenAiUpstream(options);
      opened.push(upstream);
      const controller = new AbortController();
      const sent = upstream.chatCompletion({ model: "m", body: "{}", streamed: false, signal: controller.signal });
      if (isCut) controller.abort("client_gone");
      await expect(sent).rejects.toMatchObject({ isSent: false });
    }
  });

  it("that breaks the connection off before it answers may have the request", async () => {
    const { send } = await open((response) => void response.destroy());
    await expect(send()).rejects.toMatchObject({ kind: "broken", isSent: true });
  });

  it("loses its connection when the answer is not wanted any more", async () => {
    const started = Promise.withResolvers<void>();
    const { server, send } = await open(() => started.resolve());
    const controller = new AbortController();
    const sent = send(controller.signal);
    await started.promise;
    controller.abort();
    await expect(sent).rejects.toMatchObject({ name: "UpstreamFault", kind: "broken", isSent: true });
    await expect.poll(() => server.requests[0]?.aborted).toBe(true);
  });

  it("is not sent a request that is cancelled while it waits for a connection", async () => {
    const { server, send } = await open((response) => sendJson(response, 200, {}));
    const controller = new AbortController();
    const sent = send(controller.signal);
    controller.abort("client_gone");
    await expect(sent).rejects.toMatchObject({ name: "UpstreamFault", isSent: false });
    await send();
    expect(server.requests).toHaveLength(1);
  });

  it("is a fault if it compresses its answer", async () => {
    const { send } = await open((response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("x"));
    await expect(send()).rejects.toMatchObject({ name: "UpstreamFault", kind: "broken" });
  });

  it("that refuses with a compressed body has refused, without a readable message", async () => {
    const { send } = await open((response) => void response.writeHead(500, { "content-encoding": "gzip" }).end("x"));
    const { status, body } = await send();
    expect([status, (await collect(body, 1000)).length]).toEqual([500, 0]);
  });
});
