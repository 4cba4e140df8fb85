import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { collect } from "../domain/response/answer-body.ts";
import { createHttpUpstream } from "./http-upstream.ts";

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/** Upstream on a raw socket, which answers each request with these pieces, each in a write of its own. */
async function upstreamThatSends(pieces: readonly string[]) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay().on("error", () => {});
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!text.endsWith("{}")) return;
      text = "";
      void (async () => {
        for (const piece of pieces) {
          socket.write(piece);
          await turn();
        }
      })();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const upstream = createHttpUpstream({ baseUrl: new URL(`http://127.0.0.1:${port}/v1`), apiKey: undefined });
  onTestFinished(async () => {
    await upstream.close();
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const send = async () => {
    const { signal } = new AbortController();
    const { status, body } = await upstream.send({ wire: "chat", model: "m", body: "{}", streamed: false, signal });
    return [status, (await collect(body, 10_000)).toString()];
  };
  return { send, sockets };
}

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

it.each<[string, string[]]>([
  ["nothing else", [ANSWER]],
  ["100 Continue", [CONTINUE, ANSWER]],
  ["100 Continue in one piece with the answer", [CONTINUE + ANSWER]],
  ["100 Continue twice, with headers", ["HTTP/1.1 100 Continue\r\nx: y\r\n\r\n", CONTINUE + ANSWER]],
  ["100 Continue of HTTP/1.0", [`HTTP/1.0 100 Continue\r\n\r\n${ANSWER}`]],
  ["100 Continue without a reason", [`HTTP/1.1 100\r\n\r\n${ANSWER}`]],
  ["100 Continue byte by byte", `${CONTINUE}${ANSWER}`.split("")],
  ["102 Processing", ["HTTP/1.1 102 Processing\r\n\r\n", ANSWER]],
  ["103 Early Hints", ["HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", ANSWER]],
  ["all of them", ["HTTP/1.1 103 Early Hints\r\n\r\n", CONTINUE, "HTTP/1.1 102 Processing\r\n\r\n", ANSWER]],
])("an answer after %s is the answer, also to the next request on the connection", async (_, pieces) => {
  const { send, sockets } = await upstreamThatSends(pieces);
  for (let index = 0; index < 3; index++) {
    expect(await send()).toEqual([200, "{}"]);
    // The connection is free again once its last answer has been read.
    await turn();
  }
  expect(sockets.size).toBe(1);
});

it("a body that reads like an interim answer stays as it is", async () => {
  const text = `${CONTINUE}HTTP/1.1 100`;
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n`;
  const { send } = await upstreamThatSends([head, text]);
  expect(await send()).toEqual([200, text]);
});

it("an interim answer that does not end is broken", async () => {
  const { send } = await upstreamThatSends([
    "HTTP/1.1 100 Continue\r\n",
    ...Array.from({ length: 200 }, () => `x: ${"y".repeat(1_000)}\r\n`),
  ]);
  await expect(send()).rejects.toMatchObject({ name: "UpstreamFault", isSent: true });
});
