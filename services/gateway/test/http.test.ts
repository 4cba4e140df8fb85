import { once } from "node:events";
import { connect } from "node:net";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest();
});
afterAll(() => http.stop());

describe("the HTTP server", () => {
  it("answers headers that are too large with 431 and an envelope", async () => {
    const answer = await http.exchangeBytes(`GET /ok HTTP/1.1\r\nhost: x\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [^]*x-request-id: req_[^]*"code":"headers_too_large"/);
  });

  it.each([
    ["two Host headers", "GET /ok HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"],
    ["two equal Host headers", "GET /ok HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"],
    ["no Host header", "GET /ok HTTP/1.1\r\n\r\n"],
    ["an empty Host", "GET /ok HTTP/1.1\r\nhost:\r\n\r\n"],
    ["a Host with a path", "GET /ok HTTP/1.1\r\nhost: a/b\r\n\r\n"],
    ["a Host with a user", "GET /ok HTTP/1.1\r\nhost: a@b\r\n\r\n"],
    ["a list of Hosts", "GET /ok HTTP/1.1\r\nhost: a, b\r\n\r\n"],
    ["another coding", "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["chunked twice", "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"],
    [
      "two Transfer-Encodings",
      "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["chunked not last", "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"],
    ["identity", "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n"],
    ["a coding by HTTP/1.0", "POST /body HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["two Content-Lengths", "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"],
    ["HTTP/0.9 with its number", "GET /ok HTTP/0.9\r\nhost: a\r\n\r\n"],
    ["HTTP/0.9", "GET /ok\r\n\r\n"],
    ["HTTP/2.0", "GET /ok HTTP/2.0\r\nhost: a\r\n\r\n"],
    ["an absolute target with a user", "GET http://u:p@a/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an absolute target with a user alone", "GET http://u@a/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an absolute target without a host", "GET http:///ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an absolute target with a list of hosts", "GET http://a,b/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an absolute target without Host", "GET http://a/ok HTTP/1.1\r\n\r\n"],
    ["an absolute target with two Hosts", "GET http://a/ok HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"],
    ["another scheme", "GET ftp://a/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["a scheme without an authority", "GET http:/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["a target that is an authority", "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["a tunnel", "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["a target without a slash", "GET ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an asterisk", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"],
  ])("refuses %s with 400, closes the connection and serves nothing that follows on it", async (_, bytes) => {
    const answer = await http.exchangeBytes(`${bytes}POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
    expect(answer.toLowerCase()).toContain("connection: close");
    expect(answer.match(/^HTTP\/1\.1 \d/gm)).toHaveLength(1);
    expect(answer).not.toContain('"size"');
  });

  it.each(["localhost", "a.b-c_d:8080", "127.0.0.1", "[::1]:80"])("serves the Host %s", async (host) => {
    expect(await http.exchangeBytes(`GET /ok HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 200 /,
    );
  });

  it("serves HTTP/1.0, with a Host or without", async () => {
    expect(await http.exchangeBytes("GET /ok HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    "NONSENSE\r\n\r\n",
    "GET /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
  ])("answers what is not valid HTTP with 400: %j", async (bytes) => {
    expect(await http.exchangeBytes(bytes)).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
  });

  it("writes nothing into an answer that has begun, whatever follows the request", async () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    const socket = await http.connected();
    let answer = "";
    socket.on("data", (bytes: Buffer) => (answer += bytes.toString()));
    socket.write(get("/begun") + get("/late"));
    await eventually(() => answer.includes("the first part"));
    socket.write("NONSENSE\r\n\r\n");
    await once(socket, "close");
    expect(answer).not.toContain("malformed_request");
  });

  it("puts a request id of its own on every answer", async () => {
    for (const path of ["/ok", "/nothing", "/fault", "/refusal"]) {
      const response = await fetch(http.url + path, { headers: { "x-request-id": "mine" } });
      expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-z]{26}$/);
    }
  });

  it("answers HEAD without a body, OPTIONS with the allowed methods, and refuses other methods", async () => {
    const head = await fetch(`${http.url}/ok`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const options = await fetch(`${http.url}/body`, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    const wrong = await fetch(`${http.url}/ok`, { method: "DELETE" });
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    expect(wrong.headers.get("x-should-retry")).toBe("false");
  });

  it("answers an unknown path in the words of the API that the client speaks", async () => {
    const answer = await fetch(`${http.url}/v1/messages/batches`, { headers: { "anthropic-version": "2023-06-01" } });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("request-id")).toBe(answer.headers.get("x-request-id"));
    expect(await answer.json()).toMatchObject({
      type: "error",
      error: { type: "not_found_error", code: "unknown_url" },
    });
    const ofOpenAi = await fetch(`${http.url}/v1/messages/batches`);
    expect(ofOpenAi.headers.has("request-id")).toBe(false);
    expect(await ofOpenAi.json()).toMatchObject({ error: { type: "invalid_request_error", code: "unknown_url" } });
  });

  it("answers a body that is too large with 413, announced or not", async () => {
    const announced = await fetch(`${http.url}/body`, { method: "POST", body: "x".repeat(2_000_000) });
    expect(announced.status).toBe(413);
    const body = new ReadableStream({
      start(controller) {
        for (let chunk = 0; chunk < 20; chunk++) controller.enqueue(new Uint8Array(100_000));
        controller.close();
      },
    });
    const streamed = await fetch(`${http.url}/body`, { method: "POST", body, duplex: "half" });
    expect(streamed.status).toBe(413);
    const small = await fetch(`${http.url}/body`, { method: "POST", body: "x".repeat(1_000) });
    expect(await small.json()).toEqual({ size: 1_000 });
  });

  it.each(["close", "keep-alive"])(
    "sends the refusal to a client that first writes its whole body (%s)",
    async (kept) => {
      const size = 8 << 20;
      const socket = connect(http.port, "127.0.0.1");
      const errors: Error[] = [];
      socket.on("error", (error) => errors.push(error));
      await once(socket, "connect");
      // Reads nothing before everything is written, as simple clients do.
      socket.pause();
      socket.write(`POST /body HTTP/1.1\r\nhost: x\r\nconnection: ${kept}\r\ncontent-length: ${size}\r\n\r\n`);
      const chunk = Buffer.alloc(64 * 1024);
      for (let sent = 0; sent < size && errors.length === 0; sent += chunk.length) {
        if (!socket.write(chunk)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
      }
      const chunks: Buffer[] = [];
      socket.on("data", (data: Buffer) => {
        chunks.push(data);
        socket.end();
      });
      await once(socket.resume(), "close");
      expect(errors).toEqual([]);
      expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 413 [^]*"code":"request_too_large"/);
    },
  );

  it("reveals neither the cause of an internal error nor a secret in a message", async () => {
    const fault = await fetch(`${http.url}/fault`);
    const text = await fault.text();
    expect(fault.status).toBe(500);
    expect(text).not.toMatch(/secret|Error|at /);
    expect(await (await fetch(`${http.url}/refusal`)).json()).toEqual({
      error: { message: "key [redacted] is bad", type: "t", param: null, code: "c" },
    });
  });

  it("serves others after a client left in the middle of its request", async () => {
    const socket = connect(http.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    socket.destroy();
    expect((await fetch(`${http.url}/ok`)).status).toBe(200);
  });
});
