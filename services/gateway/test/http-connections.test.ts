import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually } from "@routeplane/testing";
import { afterEach, describe, expect, it } from "vitest";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
afterEach(() => http.stop());

const GET_OK = "GET /ok HTTP/1.1\r\nhost: x\r\n\r\n";
const WAIT = "POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/** Collects what a connection receives. */
function received(socket: Socket): () => string {
  let text = "";
  socket.on("data", (bytes: Buffer) => (text += bytes.toString()));
  return () => text;
}

describe("connections at their bound", () => {
  /** Opens a connection that has had an answer. */
  const kept = async (): Promise<Socket> => {
    const socket = await http.connected();
    const text = received(socket);
    socket.write(GET_OK);
    await eventually(() => text().includes('{"ok":true}'));
    return socket;
  };

  it("close the one that has been idle for longest first", async () => {
    http = await startHttpUnderTest([], { maxConnections: 3 });
    const used = await kept();
    const silent = await http.connected();
    const slow = await http.connected();
    slow.write("GET /ok HTTP/1.1\r\nx-slow: ");
    const first = await http.connected();
    await eventually(() => silent.closed);
    const second = await http.connected();
    await eventually(() => slow.closed);
    expect([used.closed, first.closed, second.closed]).toEqual([false, false, false]);
    for (const socket of [first, second]) {
      const text = received(socket);
      socket.write(GET_OK);
      await eventually(() => text().includes('{"ok":true}'));
    }
    const third = await http.connected();
    await eventually(() => used.closed);
    expect([first.closed, second.closed, third.closed]).toEqual([false, false, false]);
  });

  it("refuse a new one with 503 only while each has a request, and close none of them", async () => {
    http = await startHttpUnderTest([], { maxConnections: 2 });
    const busy = [await http.connected(), await http.connected()];
    const answers = busy.map(received);
    for (const socket of busy) socket.write(WAIT);
    await eventually(() => http.waiting.length === 2);
    const answer = await http.exchangeBytes(GET_OK);
    expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1\r\n[^]*"code":"overloaded"/);
    expect(answer).not.toContain('{"ok":true}');
    for (const resume of http.waiting) resume();
    await eventually(() => answers.every((text) => text().includes('"answer":"whole"')));
    const next = await kept();
    expect(next.closed).toBe(false);
  });

  it("are counted until they close, and no longer", async () => {
    http = await startHttpUnderTest([], { maxConnections: 4 });
    const oldest = await kept();
    for (let round = 0; round < 4; round++) {
      const [silent, used, busy] = [await http.connected(), await kept(), await http.connected()];
      busy.write(WAIT);
      await eventually(() => http.waiting.length === round + 1);
      for (const socket of [silent, used, busy]) socket.resetAndDestroy();
      await eventually(() => http.ends.length === round + 1);
      // Its answer comes after the server has seen those connections close.
      const text = received(oldest);
      oldest.write(GET_OK);
      await eventually(() => text().includes('{"ok":true}'));
    }
    expect(oldest.closed).toBe(false);
  });
});

describe("a client that is slow to send", () => {
  const timeouts = { headersTimeout: 300, requestTimeout: 900, connectionsCheckingInterval: 50 };
  /** Sends a piece over and over until the connection closes. @returns all that it received, and the time that it took */
  const drip = async (start: string, piece: string) => {
    http = await startHttpUnderTest([], { timeouts });
    const socket = await http.connected();
    const text = received(socket);
    const began = performance.now();
    socket.write(start);
    const timer = setInterval(() => socket.write(piece), 20);
    await once(socket, "close");
    clearInterval(timer);
    return { answer: text(), ms: performance.now() - began };
  };

  it.each([
    ["a header", "GET /ok HTTP/1.1\r\nx-slow: ", "x"],
    ["headers", "GET /ok HTTP/1.1\r\n", "a: b\r\n"],
    ["empty lines before its request", "\r\n", "\r\n"],
  ])("is answered 408 and disconnected if its head does not end: %s", async (_, start, piece) => {
    const { answer, ms } = await drip(start, piece);
    expect(answer).toMatch(/^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
    expect(ms).toBeGreaterThan(290);
  });

  it.each([
    ["of an announced size", "content-length: 900", "x"],
    ["in chunks", "transfer-encoding: chunked", "1\r\nx\r\n"],
    ["with an extension of a chunk", "transfer-encoding: chunked\r\n\r\n1;", "x"],
  ])(
    "is answered 408 and disconnected if its body does not end in time, whatever it sends: %s",
    async (_, head, piece) => {
      const { answer, ms } = await drip(
        `POST /body HTTP/1.1\r\nhost: x\r\n${head}${head.includes("\r\n\r\n") ? "" : "\r\n\r\n"}`,
        piece,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
      expect(ms).toBeGreaterThan(890);
    },
  );
});

describe("a client that asks for a tunnel", () => {
  const CONNECT = "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n";

  it("ends nothing but its connection when it resets that", async () => {
    http = await startHttpUnderTest();
    const faults: unknown[] = [];
    const onFault = (fault: unknown) => faults.push(fault);
    process.on("uncaughtException", onFault);
    for (let client = 0; client < 20; client++) {
      const socket = await http.connected();
      socket.write(CONNECT, () => socket.resetAndDestroy());
      await once(socket, "close");
    }
    expect(await http.exchangeBytes(GET_OK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))).toContain(
      '{"ok":true}',
    );
    process.off("uncaughtException", onFault);
    expect(faults).toEqual([]);
  });

  it("ends the requests before it on the connection, also those that wait for their turn", async () => {
    http = await startHttpUnderTest();
    const socket = await http.connected();
    socket.write(WAIT.repeat(3));
    await eventually(() => http.waiting.length === 3);
    socket.write(CONNECT);
    await eventually(() => http.ends.length === 3);
    expect(http.ends).toEqual(["cancelled", "cancelled", "cancelled"]);
  });

  it("gets no error within an answer that has begun", async () => {
    http = await startHttpUnderTest();
    const socket = await http.connected();
    const text = received(socket);
    socket.write("GET /begun HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => text().includes("the first part"));
    socket.write(CONNECT);
    await once(socket, "close");
    expect(text()).not.toContain("malformed_request");
  });

  it("is disconnected although it never closes its side, so that the server can stop", async () => {
    http = await startHttpUnderTest();
    const socket = connect({ port: http.port, host: "127.0.0.1", allowHalfOpen: true });
    const text = received(socket);
    socket.write(CONNECT);
    await eventually(() => text().includes("malformed_request"));
    await http.stop();
    expect(socket.writable).toBe(true);
    socket.destroy();
  });
});

describe("what follows on a connection", () => {
  it("is served in turn: up to 16 requests without an answer, and none beyond", async () => {
    http = await startHttpUnderTest();
    const socket = await http.connected();
    const text = received(socket);
    socket.write(WAIT.repeat(16));
    await eventually(() => http.waiting.length === 16);
    for (const resume of http.waiting.splice(0)) resume();
    await eventually(() => text().match(/"answer":"whole"/g)?.length === 16);

    socket.write(WAIT.repeat(1_000));
    await eventually(() => http.waiting.length === 16);
    for (const resume of http.waiting) resume();
    await once(socket, "close");
    expect(text().match(/"answer":"whole"/g)).toHaveLength(32);
    expect(text().match(/HTTP\/1\.1 503 /g)).toHaveLength(1);
    expect(http.waiting).toHaveLength(16);
  });

  it("is never another protocol: an upgrade is ignored, and its body read", async () => {
    http = await startHttpUnderTest();
    for (const protocol of ["websocket", "h2c"]) {
      const socket = await http.connected();
      const text = received(socket);
      const upgrade = `connection: upgrade\r\nupgrade: ${protocol}\r\n`;
      socket.write(`POST /body HTTP/1.1\r\nhost: x\r\n${upgrade}content-length: 3\r\n\r\nabc`);
      await eventually(() => text().includes('{"size":3}'));
      socket.write(GET_OK);
      await eventually(() => text().includes('{"ok":true}'));
      expect(text()).not.toContain(" 101 ");
      socket.destroy();
    }
  });

  it.each([
    ["an extension of a chunk", `1;${"x".repeat(40_000)}\r\nx\r\n0\r\n\r\n`, /^HTTP\/1\.1 400 [^]*"malformed_request"/],
    ["trailers", `1\r\nx\r\n0\r\n${"a: bcdefgh\r\n".repeat(8_000)}\r\n`, /^HTTP\/1\.1 431 [^]*"headers_too_large"/],
    ["a chunk whose size is no number", "g\r\nx\r\n0\r\n\r\n", /^HTTP\/1\.1 400 [^]*"malformed_request"/],
    ["a chunk larger than a number is", `${"f".repeat(17)}\r\nx\r\n0\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ["a chunk that ends with a bare LF", "1\nx\n0\n\n", /^HTTP\/1\.1 400 [^]*"malformed_request"/],
  ])("is bounded in a body in chunks: %s", async (_, body, expected) => {
    http = await startHttpUnderTest();
    const answer = await http.exchangeBytes(
      `POST /wait HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${body}`,
    );
    expect(answer).toMatch(expected);
    expect(answer).not.toContain('"size"');
  });

  it("is never a request hidden in a header: by a bare CR, LF or NUL, a folded line, a blank before the colon", async () => {
    http = await startHttpUnderTest();
    const headers = [
      "a: b\rc: d",
      "a: b\n\nGET /ok",
      "a: b\0c",
      "a: b\r\n c",
      "content-length : 5",
      "content-length: +5",
      "content-length: 0x5",
    ];
    for (const header of headers) {
      const answer = await http.exchangeBytes(`POST /body HTTP/1.1\r\nhost: x\r\n${header}\r\n\r\nhello${GET_OK}`);
      expect(`${header} ${answer}`).toMatch(/ HTTP\/1\.1 400 [^]*"malformed_request"/);
      expect(answer.match(/^HTTP\/1\.1 \d/gm)).toHaveLength(1);
    }
  });
});
