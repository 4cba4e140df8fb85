import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { answerOf } from "../scenarios.ts";
import { chatAnswer } from "./chat-answer.ts";
import { readChatRequest } from "./chat-request.ts";
import { embed } from "./embeddings.ts";
import { messagesAnswer } from "./messages-answer.ts";
import {
  checkCountTokensRequest,
  MESSAGES_VERSIONS,
  type MessagesVersion,
  readMessagesRequest,
} from "./messages-request.ts";
import { ProviderFault, type ReceivedRequest, requireThat } from "./received.ts";
import { responsesAnswer } from "./responses-answer.ts";
import { readResponsesRequest } from "./responses-request.ts";
import type { WireAnswer } from "./wire-answer.ts";

/** Key that the upstream demands; by either header on the wire of messages, as Anthropic. */
export const UPSTREAM_KEY = "sk-upstream-conformance-0001";

export const COUNTED_TOKENS = 17;

/** Upstream that speaks the wires of OpenAI and Anthropic, and refuses what they refuse. */
export interface ScriptedUpstream {
  readonly url: string;
  close(): Promise<void>;
}

interface Endpoint {
  readonly answer: WireAnswer;
  readonly read: (body: unknown, headers: IncomingHttpHeaders) => ReceivedRequest | { readonly body: object };
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/v1/chat/completions": { answer: chatAnswer, read: readChatRequest },
  "/v1/responses": { answer: responsesAnswer, read: readResponsesRequest },
  "/v1/embeddings": { answer: chatAnswer, read: (body) => ({ body: embed(body) }) },
  "/v1/messages": { answer: messagesAnswer, read: (body, headers) => readMessagesRequest(body, versionOf(headers)) },
  "/v1/messages/count_tokens": {
    answer: messagesAnswer,

    read(body, headers) {
      versionOf(headers);
      checkCountTokensRequest(body);
      return { body: { input_tokens: COUNTED_TOKENS } };
    },
  },
};

export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const server = createServer((request, response) => void handle(request, response));
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

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await json(request);
  const [path = ""] = (request.url ?? "").split("?");
  const endpoint = request.method === "POST" ? ENDPOINTS[path] : undefined;
  if (endpoint === undefined) return send(response, 404, { error: { message: `no endpoint ${path}` } });
  try {
    requireHeaders(request.headers, endpoint);
    const read = endpoint.read(body, request.headers);
    if ("body" in read) return send(response, 200, read.body);
    const turn = answerOf(read);
    if (!read.stream) return send(response, 200, endpoint.answer.whole(turn, read));
    await stream(response, endpoint.answer.events(turn, read).join(""));
  } catch (error) {
    const fault = error instanceof ProviderFault ? error : new ProviderFault(String(error), { status: 500 });
    const { status = 400, retryAfterSecs, details } = fault.options;
    if (retryAfterSecs !== undefined) response.setHeader("retry-after", retryAfterSecs);
    send(response, status, endpoint.answer.refusal(status, fault.message, details));
  }
}

function requireHeaders(headers: IncomingHttpHeaders, { answer }: Endpoint): void {
  const isMessages = answer === messagesAnswer;
  const { authorization, "x-api-key": apiKey } = headers;
  const isKnown = authorization === `Bearer ${UPSTREAM_KEY}` || (isMessages && apiKey === UPSTREAM_KEY);
  if (!isKnown) throw new ProviderFault("Incorrect API key provided.", { status: 401 });
  const type = headers["content-type"] ?? "";
  requireThat(type.startsWith("application/json"), `content-type: ${type}`);
}

/** Version of Anthropic's API that a request names. @throws ProviderFault if it is none */
function versionOf({ "anthropic-version": version }: IncomingHttpHeaders): MessagesVersion {
  const known = MESSAGES_VERSIONS.find((one) => one === version);
  requireThat(known !== undefined, `anthropic-version: "${String(version)}" is not a valid version`);
  return known;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Sends a stream in pieces whose ends fall anywhere, also within a character. */
async function stream(response: ServerResponse, events: string): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  const bytes = Buffer.from(events);
  for (let start = 0; start < bytes.length; start += 173) {
    response.write(bytes.subarray(start, start + 173));
    await setImmediate();
  }
  response.end();
}
