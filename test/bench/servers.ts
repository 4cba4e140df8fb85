import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";

/** Answer of the upstream. The processes here are `upstream` and `proxy <upstream>`; each sends its address to its parent. */
const ANSWER = JSON.stringify({
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "tiny",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 },
});

/** Upstream that answers every request at once; at `/stream/…` with a stream of 40 words, one every 5 ms. */
const upstream: RequestListener = (request, response) => {
  request.resume();
  const answer = (): void => void response.writeHead(200, { "content-type": "application/json" }).end(ANSWER);
  request.on("end", () => (request.url?.startsWith("/stream/") === true ? void stream(response) : answer()));
};

async function stream(response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (choices: object[], more: object = {}): string =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "tiny", choices, ...more })}\n\n`;
  for (let word = 0; word < 40; word++) {
    response.write(chunk([{ index: 0, delta: { content: `word ${word} ` }, finish_reason: null }]));
    await delay(5);
  }
  response.write(chunk([{ index: 0, delta: {}, finish_reason: "stop" }]));
  response.write(chunk([], { usage: { prompt_tokens: 12, completion_tokens: 80, total_tokens: 92 } }));
  response.end("data: [DONE]\n\n");
}

/** Baseline proxy: no key, no policy, no metering. Streams pass through piece by piece. */
function proxyTo(target: string): RequestListener {
  const pool = new Pool(target, { connections: 128 });
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
const server = createServer(role === "proxy" ? proxyTo(target) : upstream);
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
process.send?.(`http://127.0.0.1:${port}`);
process.on("disconnect", () => process.exit(0));
