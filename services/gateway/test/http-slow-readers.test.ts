import { once } from "node:events";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpUnderTest, STALL_TIMEOUT_MS, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest();
});
afterAll(() => http.stop());

describe("an HTTP server with a client that is slow to read", () => {
  const size = 64 << 20;
  const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;

  it.each(["/large", "/large-stream"])(
    "ends %s once the client has read nothing of it for a while",
    async (path) => {
      const socket = await http.connected();
      socket.pause();
      const before = http.ends.length;
      socket.write(ask(path));
      await eventually(() => http.ends.length > before);
      expect(http.ends.at(-1)).toBe("cancelled");
      socket.destroy();
    },
    30_000,
  );

  it("ends the answer even if the client goes on sending requests", async () => {
    const socket = await http.connected();
    socket.pause();
    const before = http.ends.length;
    const timer = setInterval(() => socket.write("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n"), 100);
    socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => http.ends.length > before);
    clearInterval(timer);
    expect(http.ends.at(-1)).toBe("cancelled");
    socket.destroy();
  }, 30_000);

  it.each(["/large", "/large-stream"])(
    "waits for a reader of %s that is slow but continues",
    async (path) => {
      const socket = await http.connected();
      socket.pause();
      let readBytes = 0;
      socket.on("data", (bytes: Buffer) => {
        readBytes += bytes.length;
        socket.pause();
      });
      const startedAt = performance.now();
      socket.write(ask(path));
      const timer = setInterval(() => socket.resume(), 4);
      await once(socket, "close");
      clearInterval(timer);
      expect(readBytes).toBeGreaterThan(size);
      expect(performance.now() - startedAt).toBeGreaterThan(STALL_TIMEOUT_MS);
    },
    60_000,
  );

  it("keeps a client whose answer begins late, on a connection with earlier answers", async () => {
    const socket = await http.connected();
    const chunks: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => chunks.push(bytes.subarray(-500)));
    socket.write(`GET /large HTTP/1.1\r\nhost: x\r\n\r\n${ask("/late")}`);
    await once(socket, "close");
    expect(Buffer.concat(chunks).toString()).toContain('{"late":true}');
  }, 60_000);
});
