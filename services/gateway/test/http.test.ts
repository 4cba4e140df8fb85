import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import type { Exchange } from "../src/handlers/exchange.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { createRouter, type Route } from "../src/handlers/router.ts";
import { Refusal } from "../src/domain/errors/refusal.ts";

const log = createLogger("gateway", (line) => line, "silent");
const STALL_TIMEOUT_MS = 3_000;

/** End of each large answer: taken by the client, or cut. */
const served: ("taken" | "cut")[] = [];

/** Several times what the buffers of both ends take: a client reads so much before the server sees any of it leave. */
async function sendLarge({ reply }: Exchange, pieces: number): Promise<void> {
  const piece = Buffer.alloc((64 << 20) / pieces, "x");
  reply.begin(200, {});
  try {
    for (let count = 1; count < pieces; count++) await reply.write(piece);
    served.push((await reply.end(piece)) ? "taken" : "cut");
  } catch (error) {
    served.push("cut");
    throw error;
  }
}

const routes: Route[] = [
  { method: "GET", path: "/ok", reaches: "gateway", handle: (exchange) => exchange.sendJson(200, { ok: true }) },
  {
    method: "POST",
    path: "/body",
    reaches: "gateway",
    handle: async (exchange) => exchange.sendJson(200, { size: (await exchange.readBody(1_000, [])).length }),
  },
  {
    method: "POST",
    path: "/hold",
    reaches: "gateway",
    handle: async (exchange) => {
      await exchange.readBody(10_000_000, [String(exchange.request.headers["x-holder"])]);
      await new Promise((resolve) => exchange.reply.signal.addEventListener("abort", resolve));
      throw new Error("gone");
    },
  },
  { method: "GET", path: "/large", reaches: "gateway", handle: (exchange) => sendLarge(exchange, 1) },
  { method: "GET", path: "/large-stream", reaches: "gateway", handle: (exchange) => sendLarge(exchange, 64) },
  {
    method: "GET",
    path: "/begun",
    reaches: "gateway",
    async handle({ reply }) {
      reply.begin(200, {});
      await reply.write(Buffer.from("the first part"));
      await new Promise((resolve) => reply.signal.addEventListener("abort", resolve));
    },
  },
  {
    method: "GET",
    path: "/late",
    reaches: "gateway",
    async handle(exchange) {
      await delay(STALL_TIMEOUT_MS + 500);
      await exchange.sendJson(200, { late: true });
    },
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
    handle: () =>
      Promise.reject(new Refusal({ status: 400, type: "t", code: "c", retryable: false }, "key sk-secret is bad")),
  },
];

const MAX_BODY_BYTES = 1_000_000;
const bodies = new BodyBudget(MAX_BODY_BYTES);

let server: Awaited<ReturnType<typeof startHttpServer>>;
let url: string;

beforeAll(async () => {
  const redact = (text: string): string => text.replaceAll("sk-secret", "[redacted]");
  const router = createRouter({
    routes,
    unknownMethod: () => Promise.reject(new Error()),
    bodies,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    redact,
    log,
    clock: Date.now,
  });
  server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  url = `http://127.0.0.1:${server.port}`;
});

afterAll(() => server.stop());

async function connected(): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Sends these bytes on a new connection. @returns what comes back until it closes */
async function raw(bytes: string): Promise<string> {
  const socket = await connected();
  socket.write(bytes);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  return Buffer.concat(chunks).toString("utf8");
}

describe("the HTTP server", () => {
  it("answers headers that are too large with 431 and an envelope", async () => {
    const answer = await raw(`GET /ok HTTP/1.1\r\nhost: x\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`);
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
    ["an absolute target", "GET http://a/ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["a target without a slash", "GET ok HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an asterisk", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"],
  ])("refuses %s with 400, closes the connection and serves nothing that follows on it", async (_, bytes) => {
    const answer = await raw(`${bytes}POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
    expect(answer.toLowerCase()).toContain("connection: close");
    expect(answer.match(/^HTTP\/1\.1 \d/gm)).toHaveLength(1);
    expect(answer).not.toContain('"size"');
  });

  it.each(["localhost", "a.b-c_d:8080", "127.0.0.1", "[::1]:80"])("serves the Host %s", async (host) => {
    expect(await raw(`GET /ok HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("serves HTTP/1.0, with a Host or without", async () => {
    expect(await raw("GET /ok HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    "NONSENSE\r\n\r\n",
    "GET /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
  ])("answers what is not valid HTTP with 400: %j", async (bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
  });

  it("writes nothing into an answer that has begun, whatever follows the request", async () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    const socket = await connected();
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

  describe("with bodies that never end", () => {
    /** One byte of it never comes. */
    const open = async (holder: string, bytes: number): Promise<Socket> => {
      const socket = await connected();
      socket.write(`POST /hold HTTP/1.1\r\nhost: x\r\nx-holder: ${holder}\r\ncontent-length: ${bytes + 1}\r\n\r\n`);
      socket.write(Buffer.alloc(bytes));
      return socket;
    };
    const post = (holder: string, bytes: number): Promise<Response> =>
      fetch(`${url}/hold`, {
        method: "POST",
        body: "x".repeat(bytes),
        headers: { connection: "close", "x-holder": holder },
      });

    it("gives back what a request holds that waits for its turn on a connection that is lost", async () => {
      const socket = await connected();
      const whole = (path: string, bytes: number): string =>
        `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
      socket.write(whole("/hold", 1_000) + whole("/hold", 2_000) + whole("/body", 500));
      await eventually(() => bodies.bytes === 3_500);
      socket.destroy();
      await eventually(() => bodies.bytes === 0);
    });

    it("holds no more of all bodies than it may, says when to try again, and has all of it back afterwards", async () => {
      const half = await open("one", 450_000);
      await eventually(() => bodies.bytes === 450_000);
      const refused = await post("two", 300_000);
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
      expect(refused.headers.get("x-should-retry")).toBeNull();
      expect(await refused.json()).toMatchObject({ error: { code: "overloaded" } });
      expect(bodies.bytes).toBe(450_000);
      // Whole, and worked on until its client leaves.
      const whole = await open("two", 200_000);
      whole.write("x");
      await eventually(() => bodies.bytes === 650_001);
      half.destroy();
      whole.destroy();
      await eventually(() => bodies.bytes === 0);
      const small = await fetch(`${url}/body`, { method: "POST", body: "x".repeat(1_000) });
      expect(small.status).toBe(200);
      await small.arrayBuffer();
      expect((await fetch(`${url}/body`, { method: "POST", body: "x".repeat(2_000) })).status).toBe(413);
      await eventually(() => bodies.bytes === 0);
    });

    it("keeps room for every other caller, however much of one caller is on its way", async () => {
      const sockets = await Promise.all(Array.from({ length: 30 }, () => open("one", 100_000)));
      await eventually(() => bodies.bytes >= 400_000);
      expect((await post("one", 100_000)).status).toBe(503);
      expect(bodies.bytes).toBeLessThanOrEqual(MAX_BODY_BYTES / 2);
      const other = await open("two", 200_000);
      await eventually(() => bodies.bytes >= 600_000);
      for (const socket of [...sockets, other]) socket.destroy();
      await eventually(() => bodies.bytes === 0);
    });
  });

  describe("with a client that is slow to read", () => {
    const size = 64 << 20;
    const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;

    it.each(["/large", "/large-stream"])(
      "ends %s once nothing of it was taken for a while",
      async (path) => {
        const socket = await connected();
        socket.pause();
        const before = served.length;
        socket.write(ask(path));
        await eventually(() => served.length > before, 20_000);
        expect(served.at(-1)).toBe("cut");
        socket.destroy();
      },
      30_000,
    );

    it("ends the answer even if the client goes on sending requests", async () => {
      const socket = await connected();
      socket.pause();
      const before = served.length;
      const timer = setInterval(() => socket.write("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n"), 100);
      socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
      await eventually(() => served.length > before, 20_000);
      clearInterval(timer);
      expect(served.at(-1)).toBe("cut");
      socket.destroy();
    }, 30_000);

    it.each(["/large", "/large-stream"])(
      "waits for a reader of %s that takes longer but goes on",
      async (path) => {
        const socket = await connected();
        socket.pause();
        let taken = 0;
        socket.on("data", (bytes: Buffer) => {
          taken += bytes.length;
          socket.pause();
        });
        const startedAt = performance.now();
        socket.write(ask(path));
        const timer = setInterval(() => socket.resume(), 4);
        await once(socket, "close");
        clearInterval(timer);
        expect(taken).toBeGreaterThan(size);
        expect(performance.now() - startedAt).toBeGreaterThan(STALL_TIMEOUT_MS);
      },
      60_000,
    );

    it("cuts nobody whose answer takes long to begin, on a connection of which answers were waited for", async () => {
      const socket = await connected();
      const chunks: Buffer[] = [];
      socket.on("data", (bytes: Buffer) => chunks.push(bytes.subarray(-500)));
      socket.write(`GET /large HTTP/1.1\r\nhost: x\r\n\r\n${ask("/late")}`);
      await once(socket, "close");
      expect(Buffer.concat(chunks).toString()).toContain('{"late":true}');
    }, 60_000);
  });
});
