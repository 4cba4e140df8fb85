import type { Socket } from "node:net";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest();
});
afterAll(() => http.stop());
beforeEach(() => {
  http.ends.length = 0;
  http.waiting.length = 0;
});

const wait = (version = "1.1"): string => `POST /wait HTTP/${version}\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc`;
const EVENTS = "GET /events HTTP/1.1\r\nhost: a\r\n\r\n";

/** Sends bytes, waits until `count` answers wait, and ends the client's side of the connection. */
async function sendAndEnd(bytes: string, count = 1) {
  const socket = await http.connected();
  const received = { text: "", closed: false };
  socket.on("data", (chunk: Buffer) => (received.text += chunk.toString()));
  socket.on("close", () => (received.closed = true));
  socket.end(bytes);
  await eventually(() => http.waiting.length === count);
  return { socket, received };
}

const proceed = (): void => http.waiting.forEach((resolve) => resolve());
const interim = "HTTP/1.1 100 Continue\r\n\r\n";

describe("a client that has ended its side of the connection", () => {
  it.each(["1.1", "1.0"])("gets a whole answer, after which the connection is closed (HTTP/%s)", async (version) => {
    const { received } = await sendAndEnd(wait(version));
    proceed();
    await eventually(() => received.closed);
    expect(received.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\{"size":3,"answer":"whole"\}$/);
  });

  it("gets a stream to its end", async () => {
    const { received } = await sendAndEnd(EVENTS);
    await eventually(() => received.text.includes("the first part"));
    proceed();
    await eventually(() => received.closed);
    expect(received.text).toContain("data: the last part\n\n");
    expect(http.ends).toEqual(["taken"]);
  });

  it("gets the answers of all requests that it has sent", async () => {
    const { received } = await sendAndEnd(wait() + wait(), 2);
    proceed();
    await eventually(() => received.closed);
    expect(received.text.match(/"answer":"whole"/g)).toHaveLength(2);
  });

  it("is probed with interim responses, which it ignores, while it waits", async () => {
    const whole = await sendAndEnd(wait());
    await eventually(() => whole.received.text.startsWith(interim));
    const events = await sendAndEnd(EVENTS, 2);
    await eventually(() => events.received.text.includes("\n:\n\n"));
    proceed();
    await eventually(() => whole.received.closed && events.received.closed);
    expect(whole.received.text.replaceAll(interim, "")).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*"answer":"whole"\}$/);
    expect(events.received.text).toContain("data: the last part\n\n");
  });

  it("is sent no interim response in HTTP/1.0", async () => {
    const { received } = await sendAndEnd(wait("1.0"));
    const other = await sendAndEnd(wait(), 2);
    await eventually(() => other.received.text.startsWith(interim));
    expect(received.text).toBe("");
    proceed();
    await eventually(() => received.closed);
    expect(received.text).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("a client that is gone", () => {
  const requests: [string, string][] = [
    ["a whole answer", wait()],
    ["a stream", EVENTS],
  ];
  const ways: [string, (socket: Socket) => void][] = [
    ["closes its connection", (socket) => socket.destroy()],
    ["resets its connection", (socket) => void socket.resetAndDestroy()],
  ];
  for (const [what, bytes] of requests) {
    it.each(ways)(`is noticed before ${what}: it %s`, async (_, leave) => {
      const socket = await http.connected();
      socket.write(bytes);
      await eventually(() => http.waiting.length === 1);
      leave(socket);
      await eventually(() => http.ends.includes("cancelled"));
    });

    it.each(ways)(`is noticed before ${what} after it had ended its side: it %s`, async (_, leave) => {
      const { socket, received } = await sendAndEnd(bytes);
      // The server has seen the end by the time of the first probe.
      await eventually(() => received.text.includes(interim) || received.text.includes("\n:\n\n"));
      leave(socket);
      await eventually(() => http.ends.includes("cancelled"), 10_000);
    });
  }
});
