import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { STREAMED_ANSWERS, WHOLE_ANSWERS } from "./wire-answers.ts";

/**
 * Answer of the upstream. The processes here are `upstream`, `proxy <upstream>` and `pacer <pieces a second>`; each sends its address to
 * its parent.
 */
const ANSWER = JSON.stringify({
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "tiny",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 },
});

/** Shortest time in which models give a short answer. */
const LATE_MS = 200;

/** Upstream of every wire that answers every request at once; at `/late/…` after 200 ms, at `/stream/…` with a stream of 40 words, one every 5 ms. */
const upstream: RequestListener = (request, response) => {
  request.resume();
  const { url = "" } = request;
  const wire = url.slice(url.lastIndexOf("/"));
  const answer = (): void =>
    void response.writeHead(200, { "content-type": "application/json" }).end(WHOLE_ANSWERS[wire] ?? ANSWER);
  const events = STREAMED_ANSWERS[wire] ?? CHUNKS;
  request.on("end", () => {
    if (url.startsWith("/stream/")) void stream(response, events);
    else if (url.startsWith("/late/")) setTimeout(answer, LATE_MS);
    else answer();
  });
};

function chunk(choices: object[], more: object = {}): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "tiny", choices, ...more })}\n\n`;
}

function pieceOf(content: string): string {
  return chunk([{ index: 0, delta: { content }, finish_reason: null }]);
}

const CHUNKS: readonly string[] = [
  ...Array.from({ length: 40 }, (_, word) => pieceOf(`word ${word} `)),
  chunk([{ index: 0, delta: {}, finish_reason: "stop" }]) +
    chunk([], { usage: { prompt_tokens: 12, completion_tokens: 80, total_tokens: 92 } }) +
    "data: [DONE]\n\n",
];

async function stream(response: ServerResponse, events: readonly string[]): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) {
    response.write(event);
    await delay(5);
  }
  response.end();
}

/** Upstream that answers with a stream without an end, each piece with the time of the machine's monotonic clock in nanoseconds. */
function pacer(perSecond: number): RequestListener {
  const open = new Map<ServerResponse, number>();
  setInterval(() => {
    const now = performance.now();
    for (const [response, dueAt] of open) {
      if (now < dueAt) continue;
      open.set(response, dueAt + 1_000 / perSecond);
      response.write(pieceOf(`${process.hrtime.bigint()} `));
    }
  }, 1);
  return (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(pieceOf("begin "));
    // Each stream has its own phase, so that streams that begin together do not send together.
    open.set(response, performance.now() + (Math.random() * 1_000) / perSecond);
    response.on("close", () => open.delete(response));
  };
}

/** Baseline proxy: no key, no policy, no metering. Streams pass through piece by piece. */
function proxyTo(target: string): RequestListener {
  const pool = new Pool(target, { connections: 4_096 });
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => void forward(pool, request.url ?? "/", Buffer.concat(chunks), response));
  };
}

async function forward(pool: Pool, path: string, body: Buffer, response: ServerResponse): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await pool.request({ method: "POST", path, headers, body });
  response.writeHead(answer.statusCode, headers);
  if (path.startsWith("/stream/")) answer.body.pipe(response);
  else response.end(Buffer.from(await answer.body.arrayBuffer()));
}

const [role, target = ""] = process.argv.slice(2);
const listeners: Readonly<Record<string, () => RequestListener>> = {
  upstream: () => upstream,
  proxy: () => proxyTo(target),
  pacer: () => pacer(Number(target)),
};
const server = createServer(listeners[role ?? ""]?.());
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
process.send?.(`http://127.0.0.1:${port}`);
process.on("disconnect", () => process.exit(0));
