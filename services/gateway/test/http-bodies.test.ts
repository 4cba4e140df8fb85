import { once } from "node:events";
import { type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpUnderTest, MAX_BODY_BYTES, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest();
});
afterAll(() => http.stop());

describe("a client that goes on sending after its refusal", () => {
  const HEAD = "POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";

  /** Sends the head and then pieces until the connection closes. @returns the answer, and the bytes that were sent */
  const sendOn = async (piece: Buffer, pauseMs: number) => {
    const socket = await http.connected();
    let answer = "";
    socket.on("data", (bytes: Buffer) => (answer += bytes.toString()));
    const closed = once(socket, "close");
    socket.write(HEAD);
    let bytes = 0;
    while (!socket.destroyed) {
      bytes += piece.length;
      const isTaken = socket.write(piece);
      await (isTaken ? delay(pauseMs) : Promise.race([once(socket, "drain"), closed]).catch(() => {}));
    }
    return { answer, bytes };
  };

  it("is disconnected after 64 MiB", async () => {
    const { answer, bytes } = await sendOn(Buffer.alloc(1 << 20), 0);
    expect(answer).toMatch(/^HTTP\/1\.1 401 [^]*"code":"invalid_api_key"/);
    expect(bytes).toBeLessThan(128 << 20);
  });

  it("is disconnected after 5 s, however little it sends", async () => {
    const { answer, bytes } = await sendOn(Buffer.alloc(1), 20);
    expect(answer).toMatch(/^HTTP\/1\.1 401 [^]*"code":"invalid_api_key"/);
    expect(bytes).toBeGreaterThan(1);
  });
});

describe("an HTTP server with bodies that never end", () => {
  /** Sends a request without the last byte of its body. */
  const open = async (holder: string, bytes: number): Promise<Socket> => {
    const socket = await http.connected();
    socket.write(`POST /hold HTTP/1.1\r\nhost: x\r\nx-holder: ${holder}\r\ncontent-length: ${bytes + 1}\r\n\r\n`);
    socket.write(Buffer.alloc(bytes));
    return socket;
  };
  const post = (holder: string, bytes: number): Promise<Response> =>
    fetch(`${http.url}/hold`, {
      method: "POST",
      body: "x".repeat(bytes),
      headers: { connection: "close", "x-holder": holder },
    });

  it("releases the bytes of queued requests when their connection is lost", async () => {
    const socket = await http.connected();
    const whole = (path: string, bytes: number): string =>
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
    socket.write(whole("/hold", 1_000) + whole("/hold", 2_000) + whole("/body", 500));
    await eventually(() => http.bodies.bytes === 3_500);
    socket.destroy();
    await eventually(() => http.bodies.bytes === 0);
  });

  it("refuses bodies beyond the budget with Retry-After, and releases all bytes afterwards", async () => {
    const half = await open("one", 450_000);
    await eventually(() => http.bodies.bytes === 450_001);
    const refused = await post("two", 300_000);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(refused.headers.get("x-should-retry")).toBeNull();
    expect(await refused.json()).toMatchObject({ error: { code: "overloaded" } });
    expect(http.bodies.bytes).toBe(450_001);
    // The body is complete, and its handler works on it until the client leaves.
    const whole = await open("two", 200_000);
    whole.write("x");
    await eventually(() => http.bodies.bytes === 650_002);
    half.destroy();
    whole.destroy();
    await eventually(() => http.bodies.bytes === 0);
    const small = await fetch(`${http.url}/body`, { method: "POST", body: "x".repeat(1_000) });
    expect(small.status).toBe(200);
    await small.arrayBuffer();
    expect((await fetch(`${http.url}/body`, { method: "POST", body: "x".repeat(2_000) })).status).toBe(413);
    await eventually(() => http.bodies.bytes === 0);
  });

  it("refuses a body without memory for it before its first byte, and reserves the memory of an announced one", async () => {
    const first = await http.connected();
    first.write("POST /hold HTTP/1.1\r\nhost: x\r\nx-holder: one\r\ncontent-length: 400000\r\n\r\n");
    await eventually(() => http.bodies.bytes === 400_000);
    const head =
      "POST /hold HTTP/1.1\r\nhost: x\r\nx-holder: one\r\nexpect: 100-continue\r\ncontent-length: 400000\r\n\r\n";
    expect(await http.exchangeBytes(head)).toMatch(/^HTTP\/1\.1 503 [^]*"code":"overloaded"/);
    first.destroy();
    await eventually(() => http.bodies.bytes === 0);
  });

  it("counts a text twice, as bytes and as text, and once more if it has other characters than ASCII", async () => {
    const post = (path: string, body: string) => fetch(http.url + path, { method: "POST", body });
    expect(await (await post("/text", "x".repeat(100_000))).json()).toEqual({ held: 200_000 });
    expect(await (await post("/text", `é${"x".repeat(99_998)}`)).json()).toEqual({ held: 300_000 });
    // There is space for two copies of these bytes, but not for three.
    expect((await post("/text", "x".repeat(400_000))).status).toBe(200);
    expect((await post("/text", `é${"x".repeat(399_998)}`)).status).toBe(503);
    await eventually(() => http.bodies.bytes === 0);
  });

  it("reads a body in pieces, whatever its size and framing", async () => {
    for (const size of [0, 1, 65_536, 65_537, 300_000]) {
      const bytes = Buffer.from(Array.from({ length: size }, (_, index) => 97 + (index % 26)));
      const chunked = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let from = 0; from < size; from += 7_777) controller.enqueue(bytes.subarray(from, from + 7_777));
          controller.close();
        },
      });
      for (const body of [bytes, chunked]) {
        const response = await fetch(`${http.url}/repeat`, { method: "POST", body, duplex: "half" });
        expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
      }
    }
  });

  it.each([
    ["announced", "content-length: 5", "hello", "hello"],
    ["in chunks", "transfer-encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"],
    ["empty", "content-length: 0", "", ""],
  ])("takes one that comes in one piece with its head: %s", async (_, framing, sent, body) => {
    const head = `POST /repeat HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${framing}\r\n\r\n`;
    const answer = await http.exchangeBytes(head + sent);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer.slice(answer.indexOf("\r\n\r\n"))).toContain(body);
    await eventually(() => http.bodies.bytes === 0);
  });

  it("refuses one that comes in one piece with its head and is larger than its route allows", async () => {
    const chunk = "x".repeat(1_001);
    const head = "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    const answer = await http.exchangeBytes(`${head}${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*"code":"request_too_large"/);
    await eventually(() => http.bodies.bytes === 0);
  });

  it("keeps space for other callers, however many bodies one caller sends", async () => {
    const sockets = await Promise.all(Array.from({ length: 30 }, () => open("one", 100_000)));
    await eventually(() => http.bodies.bytes >= 400_000);
    expect((await post("one", 100_000)).status).toBe(503);
    expect(http.bodies.bytes).toBeLessThanOrEqual(MAX_BODY_BYTES / 2);
    const other = await open("two", 200_000);
    await eventually(() => http.bodies.bytes >= 600_000);
    for (const socket of [...sockets, other]) socket.destroy();
    await eventually(() => http.bodies.bytes === 0);
  });
});
