import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { ProviderFault, type ReceivedRequest, requireThat } from "./received.ts";
import type { Turn } from "./turn.ts";
import type { WireAnswer } from "./wire-answer.ts";

/** Key that an upstream demands; by either header on the wire of messages, as Anthropic. */
export const UPSTREAM_KEY = "sk-upstream-conformance-0001";

/** Upstream that speaks several wires. */
export interface WireServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface Endpoint {
  readonly answer: WireAnswer;
  /** True if the key may also be in `x-api-key`. */
  readonly takesApiKey: boolean;
  /** Reads a request. @throws ProviderFault to refuse it */
  readonly reply: (body: unknown, headers: IncomingHttpHeaders) => Reply;
}

/** Turn of the model, or the whole body of another answer. */
export type Reply = { readonly request: ReceivedRequest; readonly turn: Turn } | { readonly body: object };

/** Starts an upstream. @param endpoints keyed by path */
export async function startWireServer(endpoints: Readonly<Record<string, Endpoint>>): Promise<WireServer> {
  const server = createServer((request, response) => void handle(request, response, endpoints));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  endpoints: Readonly<Record<string, Endpoint>>,
): Promise<void> {
  const [path = ""] = (request.url ?? "").split("?");
  const endpoint = request.method === "POST" ? endpoints[path] : undefined;
  if (endpoint === undefined) return send(response, 404, { error: { message: `no endpoint ${path}` } });
  try {
    const body = await json(request);
    requireHeaders(request.headers, endpoint);
    const reply = endpoint.reply(body, request.headers);
    if ("body" in reply) return send(response, 200, reply.body);
    if (!reply.request.stream) return send(response, 200, endpoint.answer.whole(reply.turn, reply.request));
    await stream(response, endpoint.answer.events(reply.turn, reply.request).join(""));
  } catch (error) {
    const fault = error instanceof ProviderFault ? error : new ProviderFault(String(error), { status: 500 });
    const { status = 400, retryAfterSecs, details } = fault.options;
    if (retryAfterSecs !== undefined) response.setHeader("retry-after", retryAfterSecs);
    send(response, status, endpoint.answer.refusal(status, fault.message, details));
  }
}

function requireHeaders(headers: IncomingHttpHeaders, { takesApiKey }: Endpoint): void {
  const { authorization, "x-api-key": apiKey, "content-type": type = "" } = headers;
  const isKnown = authorization === `Bearer ${UPSTREAM_KEY}` || (takesApiKey && apiKey === UPSTREAM_KEY);
  if (!isKnown) throw new ProviderFault("Incorrect API key provided.", { status: 401 });
  requireThat(type.startsWith("application/json"), `content-type: ${type}`);
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Sends a stream in pieces that end anywhere, also within a character. */
async function stream(response: ServerResponse, events: string): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  const bytes = Buffer.from(events);
  for (let start = 0; start < bytes.length; start += 173) {
    response.write(bytes.subarray(start, start + 173));
    await setImmediate();
  }
  response.end();
}
