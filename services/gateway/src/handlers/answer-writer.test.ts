import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Cancellation } from "../domain/ports/cancel-signal.ts";
import { endAnswer } from "./answer-writer.ts";

const STALL_TIMEOUT_MS = 300;
const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Begins an answer to a client that reads nothing until it is told to. */
async function beginAnswer() {
  const answered = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => answered.resolve(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.on("error", () => {});
  client.write("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  opened.push(
    () => client.destroy(),
    () => server.close(),
  );
  const response = await answered.promise;
  response.on("error", () => {});
  const end = (text: string) =>
    endAnswer({ response, signal: undefined, stallTimeoutMs: STALL_TIMEOUT_MS }, Buffer.from(text));
  return { client, response, end };
}

/** Writes until the kernel takes no more. */
async function fill(response: ServerResponse): Promise<void> {
  while (response.socket?.writableLength === 0) {
    response.write(Buffer.alloc(1 << 20, "x"));
    await new Promise(setImmediate);
  }
}

describe("the end of a small answer", () => {
  it("is taken at once by a connection that is free", async () => {
    const { client, end } = await beginAnswer();
    expect(await end("the answer")).toBe(true);
    let text = "";
    client.on("data", (chunk: Buffer) => (text += chunk.toString())).resume();
    await once(client, "end");
    expect(text).toContain("the answer");
  });

  it("is not taken while the connection is full, and disconnects a client that reads nothing", async () => {
    const { response, end } = await beginAnswer();
    await fill(response);
    expect(await end("the rest")).toBe(false);
    expect(response.destroyed).toBe(true);
  });

  it("is taken once a client that was slow has read what is before it", async () => {
    const { client, response, end } = await beginAnswer();
    await fill(response);
    const ended = end("the rest");
    client.resume();
    expect(await ended).toBe(true);
  });

  it("is not taken by a client that has gone", async () => {
    const { client, response, end } = await beginAnswer();
    client.destroy();
    await once(response, "close");
    expect(await end("the answer")).toBe(false);
  });
});

describe("the end of an answer of many pieces", () => {
  const ANSWER = Buffer.alloc(64 << 20, "x");
  const LONG_MS = 600_000;

  it("is broken off by a cancellation while its client reads slowly", async () => {
    const { response } = await beginAnswer();
    const signal = new Cancellation();
    const ended = endAnswer({ response, signal, stallTimeoutMs: LONG_MS }, ANSWER);
    signal.abort("api_key_revoked");
    expect(await ended).toBe(false);
    expect(response.destroyed).toBe(true);
  });

  it("is sent whole for a request that was cancelled before", async () => {
    const { client, response } = await beginAnswer();
    const signal = new Cancellation();
    signal.abort("api_key_revoked");
    const ended = endAnswer({ response, signal, stallTimeoutMs: LONG_MS }, ANSWER);
    client.resume();
    expect(await ended).toBe(true);
  });
});
