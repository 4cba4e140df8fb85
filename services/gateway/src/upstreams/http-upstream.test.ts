import { afterEach, describe, expect, it } from "vitest";
import { type Answer, sendJson, startFakeProvider, type FakeProvider } from "../../test/fake-provider.ts";
import type { UpstreamBody } from "../domain/ports/upstream.ts";
import { collect } from "../domain/response/answer-body.ts";
import { type CallOptions, createHttpUpstream, type UpstreamTimeouts } from "./http-upstream.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

function callWith(timeouts: UpstreamTimeouts, more: Partial<CallOptions> = {}): CallOptions {
  return { headers: {}, query: "", timeouts, ...more };
}

async function open(answer: Answer, timeouts: UpstreamTimeouts = {}, apiKey?: string) {
  const server: FakeProvider = await startFakeProvider(answer);
  const upstream = createHttpUpstream({ baseUrl: new URL(server.baseUrl), apiKey, call: callWith(timeouts) });
  opened.push(server, upstream);
  const send = (signal = new AbortController().signal, body: UpstreamBody = '{"a":1}') =>
    upstream.send({ wire: "chat", model: "m", body, streamed: false, signal });
  return { server, send };
}

describe("an upstream over HTTP", () => {
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

  it("gets a body in pieces as one, with its length", async () => {
    const { server, send } = await open((response) => sendJson(response, 200, {}));
    const pieces = ['{"a":"', "x".repeat(300_000), "", 'é"}'].map((piece) => Buffer.from(piece));
    await send(undefined, pieces);
    await send(undefined, pieces);
    const whole = Buffer.concat(pieces);
    for (const { body, headers } of server.requests) {
      expect(body === whole.toString()).toBe(true);
      expect(headers["content-length"]).toBe(String(whole.length));
      expect(headers).not.toHaveProperty("transfer-encoding");
    }
    expect(server.requests).toHaveLength(2);
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
    const upstream = createHttpUpstream({ baseUrl: new URL("http://127.0.0.1:9/v1"), apiKey: undefined });
    opened.push(upstream);
    const { signal } = new AbortController();
    const sent = upstream.send({ wire: "chat", model: "m", body: "{}", streamed: false, signal });
    await expect(sent).rejects.toMatchObject({ name: "UpstreamFault", kind: "unreachable", isSent: false });
  });

  it.each([
    ["an unknown host name", "http://nobody.invalid/v1"],
    ["a port that does not speak TLS", "https"],
  ])("at %s was sent nothing", async (_, address) => {
    const { server } = await open(() => {});
    const baseUrl = new URL(address === "https" ? server.baseUrl.replace("http:", "https:") : address);
    const upstream = createHttpUpstream({ baseUrl, apiKey: undefined, call: callWith({ connectMs: 1_000 }) });
    opened.push(upstream);
    const sent = upstream.send({
      wire: "chat",
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
      const upstream = createHttpUpstream(options);
      opened.push(upstream);
      const controller = new AbortController();
      const sent = upstream.send({ wire: "chat", model: "m", body: "{}", streamed: false, signal: controller.signal });
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

  it("is asked not to compress its answers", async () => {
    const { server, send } = await open((response) => sendJson(response, 200, {}));
    await send();
    expect(server.requests[0]?.headers).toMatchObject({ "accept-encoding": "identity" });
  });

  it("that answers in an unknown encoding gave an invalid answer, or a refusal if its status is one", async () => {
    const { send } = await open((response, { body }) => {
      const status = body.includes("1") ? 200 : 500;
      response.writeHead(status, { "content-encoding": "gzip, nonsense" }).end("x");
    });
    const refused = 'answered with the content encoding "gzip, nonsense"';
    await expect(send()).rejects.toMatchObject({
      kind: "invalid",
      isSent: true,
      message: expect.stringContaining(refused) as string,
    });
    const { status, body } = await send(undefined, "{}");
    expect([status, (await collect(body, 1000)).length]).toEqual([500, 0]);
  });

  it("names the request in one of the usual headers, if it does so in print", async () => {
    const answers = [
      [{ "apim-request-id": "a-1", "x-ms-request-id": "m-1" }, "a-1"],
      [{ "request-id": "r-1", "x-request-id": "x-1" }, "x-1"],
      [{ "x-request-id": "\u00e9", "x-amzn-requestid": "z-1" }, "z-1"],
      [{ "x-request-id": "x".repeat(201) }, undefined],
      [{}, undefined],
    ] as const;
    for (const [headers, requestId] of answers) {
      const { send } = await open((response) => void response.writeHead(200, headers).end("{}"));
      expect((await send()).requestId).toBe(requestId);
    }
  });

  it("gets the operator's headers and query, the key where it takes it, and a model's own", async () => {
    const server = await startFakeProvider((response) => sendJson(response, 200, {}));
    const call = callWith({}, { headers: { "x-team": "a", "user-agent": "ours" }, query: "api-version=1" });
    const callOf = new Map([["special", callWith({}, { headers: { "x-team": "b" }, query: "api-version=2&d=e" })]]);
    const baseUrl = new URL(`${server.baseUrl}/deployments/x/`);
    const upstream = createHttpUpstream({ baseUrl, apiKey: "k-1", apiKeyHeader: "api-key", call, callOf });
    opened.push(server, upstream);
    for (const model of ["m", "special"]) {
      await upstream.send({ wire: "chat", model, body: "{}", streamed: true, signal: new AbortController().signal });
    }
    expect(server.requests).toMatchObject([
      {
        path: "/v1/deployments/x/chat/completions?api-version=1",
        headers: { "x-team": "a", "user-agent": "ours", "api-key": "k-1", accept: "text/event-stream" },
      },
      { path: "/v1/deployments/x/chat/completions?api-version=2&d=e", headers: { "x-team": "b", "api-key": "k-1" } },
    ]);
    expect(server.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("is waited for as long as its model's own time-outs say", async () => {
    const server = await startFakeProvider(() => {});
    const callOf = new Map([["fast", callWith({ headMs: 50, connectMs: 1_234 })]]);
    const upstream = createHttpUpstream({ baseUrl: new URL(server.baseUrl), apiKey: undefined, callOf });
    opened.push(server, upstream);
    const request = { body: "{}", streamed: false, signal: new AbortController().signal };
    await expect(upstream.send({ wire: "chat", model: "fast", ...request })).rejects.toMatchObject({ kind: "timeout" });
  });

  it("may send 64 KiB of headers, and not without bound", async () => {
    const headersOf = (bytes: number) =>
      Object.fromEntries(Array.from({ length: bytes / 1024 }, (_, index) => [`x-${index}`, "v".repeat(1020)]));
    const { send } = await open((response) => void response.writeHead(200, headersOf(64 * 1024)).end("{}"));
    expect((await send()).status).toBe(200);
    const { send: sendMore } = await open((response) => void response.writeHead(200, headersOf(256 * 1024)).end("{}"));
    await expect(sendMore()).rejects.toMatchObject({ kind: "invalid", isSent: true });
  });
});
