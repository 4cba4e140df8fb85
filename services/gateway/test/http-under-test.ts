import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger } from "@routeplane/runtime";
import { Refusal } from "../src/domain/errors/refusal.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import type { Exchange } from "../src/handlers/exchange.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { createRouter, type Route } from "../src/handlers/router.ts";

export const STALL_TIMEOUT_MS = 3_000;
export const MAX_BODY_BYTES = 1_000_000;

/** Server and router with routes of the test's own. */
export type HttpUnderTest = Awaited<ReturnType<typeof startHttpUnderTest>>;

export async function startHttpUnderTest() {
  /** End of each large answer: taken by the client, or cancelled. */
  const ends: ("taken" | "cancelled")[] = [];
  const bodies = new BodyBudget(MAX_BODY_BYTES);
  const router = createRouter({
    routes: routesWith((end) => ends.push(end)),
    unknownMethod: () => Promise.reject(new Error()),
    bodies,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    redact: (text) => text.replaceAll("sk-secret", "[redacted]"),
    log: createLogger("gateway", (line) => line, "silent"),
    clock: Date.now,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
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
    bodies,
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
    stop: () => server.stop(),
  };
}

type OnEnd = (end: "taken" | "cancelled") => void;

/** Sends several times what the buffers of both ends take: a client reads that much before the server sees any of it leave. */
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
        await new Promise((resolve) => exchange.reply.signal.addEventListener("abort", resolve));
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
        await new Promise((resolve) => reply.signal.addEventListener("abort", resolve));
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
