import { once } from "node:events";
import { connect } from "node:net";
import { createLogger } from "@routeplane/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { createRouter, type Route } from "../src/handlers/router.ts";
import { Refusal } from "../src/domain/refusal.ts";

const log = createLogger("gateway", (line) => line, "silent");
const routes: Route[] = [
  { method: "GET", path: "/ok", reaches: "gateway", handle: (exchange) => exchange.sendJson(200, { ok: true }) },
  {
    method: "POST",
    path: "/body",
    reaches: "gateway",
    handle: async (exchange) => exchange.sendJson(200, { size: (await exchange.readBody(1_000)).length }),
  },
  {
    method: "GET",
    path: "/fault",
    reaches: "gateway",
    handle: () => Promise.reject(new Error("select secret from table")),
  },
  {
    method: "GET",
    path: "/refusal",
    reaches: "gateway",
    handle: () => Promise.reject(new Refusal({ status: 400, type: "t", code: "c", message: "key sk-secret is bad" })),
  },
];

let server: Awaited<ReturnType<typeof startHttpServer>>;
let url: string;

beforeAll(async () => {
  const redact = (text: string): string => text.replaceAll("sk-secret", "[redacted]");
  const router = createRouter({
    routes,
    unknownMethod: () => Promise.reject(new Error()),
    redact,
    log,
    clock: Date.now,
  });
  server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  url = `http://127.0.0.1:${server.port}`;
});

afterAll(() => server.stop());

/** What comes back for these bytes. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(bytes);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  await once(socket, "close");
  return Buffer.concat(chunks).toString("utf8");
}

describe("the HTTP server", () => {
  it("answers headers that are too large with 431 and an envelope", async () => {
    const answer = await raw(`GET /ok HTTP/1.1\r\nhost: x\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [^]*x-request-id: req_[^]*"code":"headers_too_large"/);
  });

  it.each([
    "NONSENSE\r\n\r\n",
    "GET /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
  ])("answers what is not valid HTTP with 400: %j", async (bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
  });

  it("puts a request id of its own on every answer", async () => {
    for (const path of ["/ok", "/nothing", "/fault", "/refusal"]) {
      const response = await fetch(url + path, { headers: { "x-request-id": "mine" } });
      expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-z]{26}$/);
    }
  });

  it("answers HEAD without a body, OPTIONS with what is allowed, and refuses other methods", async () => {
    const head = await fetch(`${url}/ok`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const options = await fetch(`${url}/body`, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    const wrong = await fetch(`${url}/ok`, { method: "DELETE" });
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    expect(wrong.headers.get("x-should-retry")).toBe("false");
  });

  it("answers a body that is too large with 413, announced or not", async () => {
    const announced = await fetch(`${url}/body`, { method: "POST", body: "x".repeat(2_000_000) });
    expect(announced.status).toBe(413);
    const body = new ReadableStream({
      start(controller) {
        for (let chunk = 0; chunk < 20; chunk++) controller.enqueue(new Uint8Array(100_000));
        controller.close();
      },
    });
    const streamed = await fetch(`${url}/body`, { method: "POST", body, duplex: "half" });
    expect(streamed.status).toBe(413);
    const small = await fetch(`${url}/body`, { method: "POST", body: "x".repeat(1_000) });
    expect(await small.json()).toEqual({ size: 1_000 });
  });

  it.each(["close", "keep-alive"])("lets a client that writes to the end see why it is refused (%s)", async (kept) => {
    const size = 8 << 20;
    const socket = connect(server.port, "127.0.0.1");
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
  });

  it("shows no fault of its own to anyone, and no secret in a message", async () => {
    const fault = await fetch(`${url}/fault`);
    const text = await fault.text();
    expect(fault.status).toBe(500);
    expect(text).not.toMatch(/secret|Error|at /);
    expect(await (await fetch(`${url}/refusal`)).json()).toEqual({
      error: { message: "key [redacted] is bad", type: "t", param: null, code: "c" },
    });
  });

  it("forgets a client that leaves in the middle of its request", async () => {
    const socket = connect(server.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    socket.destroy();
    expect((await fetch(`${url}/ok`)).status).toBe(200);
  });
});
