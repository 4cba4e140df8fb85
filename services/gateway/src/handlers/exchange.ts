import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Id, newId } from "@routeplane/domain";
import type { CancelReason, Reply } from "../domain/ports/reply.ts";
import { bodyTooLarge, Refusal } from "../domain/errors/refusal.ts";
import { endAnswer, writeBytes } from "./answer-writer.ts";
import type { BodyBudget, BodyShare } from "./body-budget.ts";

/** One HTTP request and the answer to it. */
export interface Exchange {
  readonly requestId: Id<"req">;
  readonly receivedAt: Date;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly reply: Reply;
  /** By the size that the request announces. @throws Refusal 413 */
  refuseTooLarge(maxBytes: number): void;
  /**
   * @param holders of the bytes that it takes, see `BodyBudget`
   * @throws Refusal 413, 400 if the client goes away first, or 503 if there is no room for it
   */
  readBody(maxBytes: number, holders: readonly string[]): Promise<Buffer>;
  sendJson(status: number, body: unknown): Promise<void>;
  /** To be called once nothing works on the request any more: gives back what its body took of the budget. */
  release(): void;
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly bodies: BodyBudget;
  /** A client that takes nothing of its answer for so long is cut off; one that is slow is not. 30 s by default. */
  readonly stallTimeoutMs?: number;
}

/** The kernel makes room for more of an answer only once a client has read some 1.5 MB: a slow one needs time for that. */
const STALL_TIMEOUT_MS = 30_000;

/** Puts our request id on the answer, whatever the answer will be. */
export function openExchange(
  request: IncomingMessage,
  response: ServerResponse,
  { clock, bodies, stallTimeoutMs = STALL_TIMEOUT_MS }: ExchangeOptions,
): Exchange {
  let share: BodyShare | undefined;
  const requestId = newId("req");
  response.setHeader("x-request-id", requestId);
  const reply = createReply(request, response, stallTimeoutMs);
  const { method = "GET", url = "/" } = request;
  const query = url.indexOf("?");
  return {
    requestId,
    receivedAt: new Date(clock()),
    method,
    path: query === -1 ? url : url.slice(0, query),
    request,
    response,
    reply,
    refuseTooLarge: (maxBytes) => refuseTooLarge(request, maxBytes),
    async readBody(maxBytes, holders) {
      refuseTooLarge(request, maxBytes);
      share = bodies.open(holders);
      return readBody(request, maxBytes, share);
    },
    async sendJson(status, body) {
      const bytes = Buffer.from(JSON.stringify(body));
      reply.begin(status, { "content-type": "application/json", "content-length": String(bytes.length) });
      await reply.end(bytes);
    },
    release: () => share?.release(),
  };
}

function createReply(request: IncomingMessage, response: ServerResponse, stallTimeoutMs: number): Reply {
  const controller = new AbortController();
  const { signal } = controller;
  const sending = { response, signal, stallTimeoutMs };
  const cancel = (reason: CancelReason): void => {
    if (!response.writableFinished) controller.abort(reason);
  };
  response.on("close", () => cancel("client_gone"));
  // A client that resets its connection is no fault of ours.
  response.on("error", () => cancel("client_gone"));
  return {
    signal,
    cancel,
    get begun() {
      return response.headersSent;
    },
    announce(headers) {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    },
    begin: (status, headers) => void response.writeHead(status, headers),
    async write(bytes) {
      if (signal.aborted) throw new Error("the request was cut");
      await writeBytes(sending, bytes);
    },
    async end(bytes) {
      if (request.complete || request.readableEnded) return endAnswer(sending, bytes);
      const written = bytes === undefined || signal.aborted ? undefined : writeBytes(sending, bytes);
      await Promise.allSettled([written, taken(request, signal)]);
      return endAnswer(sending);
    },
  };
}

/** Of what a client goes on sending after its answer, this much is taken and dropped. */
const MAX_DROPPED_BYTES = 64 * 1024 ** 2;
const MAX_DROPPED_MS = 5_000;

/**
 * Waits until the rest of a request that is answered already has been sent. To close the connection on a client that is still
 * writing would cost it the answer: it would see a broken pipe instead.
 */
function taken(request: IncomingMessage, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let size = 0;
    const stop = (): void => {
      clearTimeout(timer);
      request.off("data", drop).off("end", stop).off("close", stop);
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const drop = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > MAX_DROPPED_BYTES) stop();
    };
    const timer = setTimeout(stop, MAX_DROPPED_MS);
    signal.addEventListener("abort", stop, { once: true });
    request.on("data", drop).on("end", stop).on("close", stop).resume();
    if (signal.aborted || request.destroyed) stop();
  });
}

function refuseTooLarge(request: IncomingMessage, maxBytes: number): void {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
}

/**
 * By events rather than by iteration, which would destroy the connection on the way out: a client that sends too much is to
 * read why. What it goes on sending is dropped.
 */
function readBody(request: IncomingMessage, maxBytes: number, share: BodyShare): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      const isTooLarge = size > maxBytes;
      if (!isTooLarge && share.take(chunk.length)) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      share.release();
      request.off("data", onData).resume();
      reject(isTooLarge ? bodyTooLarge(maxBytes) : bodiesTooLarge());
    };
    request.on("data", onData);
    request.on("end", () => resolve(Buffer.concat(chunks)));
    // A request that has ended closes too: an error that nobody reads would cost more than all else here.
    const onGone = (): void => {
      if (!request.complete) reject(new Refusal("invalid_body", "the request body ended before it was complete"));
    };
    request.on("error", onGone);
    request.on("close", onGone);
  });
}

/** 503 for a body that the budget of all bodies has no room for. */
function bodiesTooLarge(): Refusal {
  const message = "the gateway holds as much of request bodies as it may; try again";
  return new Refusal("overloaded", message, { retryAfter: "1" });
}
