import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders as Http2Headers } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { CLIENT_ADDRESS } from "@routeplane/rpc";
import type { Component } from "@routeplane/runtime";
import type { Exchange } from "../handlers/exchange.ts";

/** Passes Connect calls on to one service, bytes as they are. */
export interface ServiceRelay extends Component {
  /**
   * @throws Refusal if the request cannot be read or is too large, ConnectError or Error if there is no answer or not all of it
   */
  forward(exchange: Exchange): Promise<void>;
}

/** What a management call needs; cookies, forwarding headers and everything else stays outside. */
const REQUEST_HEADERS = new Set([
  "accept",
  "accept-encoding",
  "authorization",
  "content-encoding",
  "content-type",
  "user-agent",
  "x-api-key",
]);
const RESPONSE_HEADERS = new Set(["content-encoding", "content-type", "retry-after", "vary"]);
const CONNECT_HEADER = /^(connect|grpc|trailer)-[a-z0-9-]+$/;

/** What the services take. */
const MAX_REQUEST_BYTES = 1024 ** 2;
const CONNECT_TIMEOUT_MS = 2_000;
/** A service ends every call within 30 s by itself. */
const HEADERS_TIMEOUT_MS = 31_000;

/** @param url where the service listens with HTTP/2 in clear text */
export function createServiceRelay(name: string, url: string): ServiceRelay {
  const sessions = new Http2SessionManager(url, { pingIntervalMs: 3_000, pingTimeoutMs: 2_000 });
  return {
    name: `relay to ${name}`,
    async forward(exchange) {
      const { request, reply, requestId, path } = exchange;
      const body = await exchange.readBody(MAX_REQUEST_BYTES);
      const address = request.socket.remoteAddress ?? "";
      const headers = { ...toServiceHeaders(request.headers), "x-request-id": requestId, [CLIENT_ADDRESS]: address };
      const stream = await connected(sessions.request("POST", path, headers, {}));
      const cut = (): void => void stream.destroy();
      reply.signal.addEventListener("abort", cut, { once: true });
      if (reply.signal.aborted) cut();
      try {
        stream.end(body);
        const answer = await headersOf(stream);
        reply.begin(Number(answer[":status"] ?? 502), toClientHeaders(answer));
        for await (const chunk of stream as AsyncIterable<Buffer>) await reply.write(chunk);
        // A connection that breaks ends the reading like an answer that is whole; only the code tells them apart.
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error("the service broke off its answer");
        await reply.end();
      } finally {
        reply.signal.removeEventListener("abort", cut);
        stream.destroy();
      }
    },
    async stop() {
      sessions.abort();
    },
  };
}

async function connected(stream: Promise<ClientHttp2Stream>): Promise<ClientHttp2Stream> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("no connection in time")), CONNECT_TIMEOUT_MS);
  try {
    return await Promise.race([stream, late.promise]);
  } catch (error) {
    // Should it come after all, nobody uses it.
    void stream.then((unused) => unused.destroy()).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function headersOf(stream: ClientHttp2Stream): Promise<Http2Headers> {
  const late = setTimeout(
    () => stream.destroy(new ConnectError("too slow", Code.DeadlineExceeded)),
    HEADERS_TIMEOUT_MS,
  );
  const closed = Promise.withResolvers<never>();
  const onClose = (): void => closed.reject(new Error("the service closed the call without an answer"));
  stream.once("close", onClose);
  try {
    const [headers] = (await Promise.race([once(stream, "response"), closed.promise])) as [Http2Headers];
    return headers;
  } finally {
    clearTimeout(late);
    stream.off("close", onClose);
    // A reset in the middle of the body is reported by whoever reads it.
    stream.on("error", () => {});
  }
}

export function toServiceHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  return allowed(headers, REQUEST_HEADERS);
}

function toClientHeaders(headers: Http2Headers): Record<string, string> {
  const kept = Object.entries(allowed(headers, RESPONSE_HEADERS));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

function allowed(
  headers: IncomingHttpHeaders | Http2Headers,
  names: ReadonlySet<string>,
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && (names.has(name) || CONNECT_HEADER.test(name))) kept[name] = value;
  }
  return kept;
}
