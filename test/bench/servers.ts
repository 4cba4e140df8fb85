import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";

/** The processes that a gateway is measured against: `upstream`, and `proxy <upstream>`. Each tells its parent its address. */

const ANSWER = JSON.stringify({
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "tiny",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 },
});

/** Answers at once, whatever it is asked. */
const upstream: RequestListener = (request, response) => {
  request.resume();
  request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(ANSWER));
};

/** The floor: no key, no policy, no metering. */
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
  response.writeHead(answer.statusCode, headers).end(Buffer.from(await answer.body.arrayBuffer()));
}

const [role, target = ""] = process.argv.slice(2);
const server = createServer(role === "proxy" ? proxyTo(target) : upstream);
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
process.send?.(`http://127.0.0.1:${port}`);
process.on("disconnect", () => process.exit(0));
