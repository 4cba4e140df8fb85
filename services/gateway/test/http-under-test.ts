import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger } from "@routeplane/runtime";
import { Refusal } from "../src/domain/errors/refusal.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import type { Exchange } from "../src/handlers/exchange.ts";
import type { DrainOptions } from "../src/handlers/http-connections.ts";
import { type HttpServerOptions, startHttpServer } from "../src/handlers/http-server.ts";
import { createRouter, type Route } from "../src/handlers/router.ts";
import type { CancelSignal } from "../src/domain/ports/cancel-signal.ts";

export const STALL_TIMEOUT_MS = 3_000;
export const MAX_BODY_BYTES = 1_000_000;

/** Server and router with routes of the test's own. */
export type HttpUnderTest = Awaited<ReturnType<typeof startHttpUnderTest>>;

/**
 * @param corsOrigins see `RouterOptions`
 * @param bounds of the server
 */
export async function startHttpUnderTest(
  corsOrigins: readonly string[] = [],
  bounds: Pick<HttpServerOptions, "maxConnections" | "timeouts"> = {},
) {
  /** End of each answer that is large or waits: taken by the client, or cancelled. */
  const ends: ("taken" | "cancelled")[] = [];
  /** Continues an answer of `/wait` or `/events`. */
  const waiting: (() => void)[] = [];
  const lines: string[] = [];
  const bodies = new BodyBudget(MAX_BODY_BYTES);
  const router = createRouter({
    routes: [
      ...routesWith((end) => ends.push(end)),
      ...waitingRoutes(waiting, (end) => ends.push(end)),
      ...bodyRoutes(bodies),
    ],
    unknownMethod: () => Promise.reject(new Error()),
    bodies,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    corsOrigins,
    redact: (text) => text.replaceAll("sk-secret", "[redacted]"),
    log: createLogger("gateway", (line) => (lines.push(line), "")),
    clock: Date.now,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router, ...bounds });
  const connected = async (): Promise<Socket> => {
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  return {
    port: server.port,
    url: `http://127.0.0.1:${server.port}`,
    ends,
    waiting,
    bodies,
    /** Lines of the log, at info and above. */
    lines,
    /** Opens a connection on which errors are ignored. */
    connected,
    /** Sends bytes on a new connection, and resolves to everything that comes back until it closes. */
    async exchangeBytes(bytes: string): Promise<string> {
      const socket = await connected();
      socket.write(bytes);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      await once(socket, "close");
      return Buffer.concat(chunks).toString("utf8");
    },
    drain: (options: DrainOptions) => server.drain(options),
    stop: () => server.stop(),
  };
}

type OnEnd = (end: "taken" | "cancelled") => void;

/** Sends several times what the buffers of both ends hold: they fill up before the server notices whether the client reads. */
async function sendLarge({ reply }: Exchange, pieces: number, onEnd: OnEnd): Promise<void> {
  const piece = Buffer.alloc((64 << 20) / pieces, "x");
  reply.begin(200, {});
  try {
    for (let count = 1; count < pieces; count++) await reply.write(piece);
    onEnd((await reply.end(piece)) ? "taken" : "cancelled");
  } catch (error) {
    onEnd("cancelled");
    throw error;
  }
}

/** Routes that read a body whole: one answers with the memory that it takes, one with the body. */
function bodyRoutes(bodies: BodyBudget): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/text",
      reaches: "gateway",
      async handle(exchange) {
        await exchange.readBody(10_000_000, [], true);
        await exchange.sendJson(200, { held: bodies.bytes });
      },
    },
    {
      method: "POST",
      path: "/repeat",
      reaches: "gateway",
      async handle(exchange) {
        const body = await exchange.readBody(10_000_000, []);
        exchange.reply.begin(200, {});
        await exchange.reply.end(body);
      },
    },
  ];
}

/** Routes that answer when the test decides: a whole answer, or the second part of one that has begun. */
function waitingRoutes(waiting: (() => void)[], onEnd: OnEnd): readonly Route[] {
  const begun = async ({ reply }: Exchange, type: string): Promise<void> => {
    reply.begin(200, { "content-type": type });
    await reply.write(Buffer.from("data: the first part\n\n"));
    await told(reply.signal);
    onEnd((await reply.end(Buffer.from("data: the last part\n\n"))) ? "taken" : "cancelled");
  };
  const told = (signal: CancelSignal) =>
    new Promise<void>((resolve, reject) => {
      waiting.push(resolve);
      signal.addEventListener("abort", () => {
        onEnd("cancelled");
        reject(new Error("the request was cancelled"));
      });
    });
  return [
    {
      method: "POST",
      path: "/wait",
      reaches: "gateway",
      async handle(exchange) {
        const { length } = await exchange.readBody(1_000, []);
        await told(exchange.reply.signal);
        await exchange.sendJson(200, { size: length, answer: "whole" });
        onEnd("taken");
      },
    },
    { method: "GET", path: "/events", reaches: "gateway", handle: (exchange) => begun(exchange, "text/event-stream") },
    {
      method: "POST",
      path: "/refused",
      reaches: "gateway",
      handle: () => Promise.reject(new Refusal("invalid_api_key", "no key")),
    },
  ];
}

/** @param onEnd called at the end of each large answer */
function routesWith(onEnd: OnEnd): readonly Route[] {
  return [
    { method: "GET", path: "/ok", reaches: "gateway", handle: (exchange) => exchange.sendJson(200, { ok: true }) },
    {
      method: "POST",
      path: "/body",
      reaches: "gateway",
      handle: async (exchange) => exchange.sendJson(200, { size: (await exchange.readBody(1_000, [])).length }),
    },
    {
      method: "POST",
      path: "/hold",
      reaches: "gateway",
      handle: async (exchange) => {
        await exchange.readBody(10_000_000, [String(exchange.request.headers["x-holder"])]);
        await new Promise<void>((resolve) => exchange.reply.signal.addEventListener("abort", resolve));
        throw new Error("gone");
      },
    },
    { method: "GET", path: "/large", reaches: "gateway", handle: (exchange) => sendLarge(exchange, 1, onEnd) },
    { method: "GET", path: "/large-stream", reaches: "gateway", handle: (exchange) => sendLarge(exchange, 64, onEnd) },
    {
      method: "GET",
      path: "/begun",
      reaches: "gateway",
      async handle({ reply }) {
        reply.begin(200, {});
        await reply.write(Buffer.from("the first part"));
        await new Promise<void>((resolve) => reply.signal.addEventListener("abort", resolve));
      },
    },
    {
      method: "GET",
      path: "/late",
      reaches: "gateway",
      async handle(exchange) {
        await delay(STALL_TIMEOUT_MS + 500);
        await exchange.sendJson(200, { late: true });
      },
    },
    {
      method: "GET",
      path: "/fault",
      reaches: "gateway",
      handle: () => Promise.reject(new Error("select secret from table")),
    },
    {
      method: "GET",
      path: "/refusal",
      reaches: "gateway",
      handle: () =>
        Promise.reject(new Refusal({ status: 400, type: "t", code: "c", retryable: false }, "key sk-secret is bad")),
    },
  ];
}
