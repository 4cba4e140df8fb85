import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Id, newId } from "@routeplane/domain";
import type { CutReason, Reply } from "../domain/ports.ts";
import { badBody, bodiesTooLarge, bodyTooLarge } from "../domain/refusal.ts";
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
  /** @throws Refusal 413, 400 if the client goes away first, or 503 if all requests together hold too much */
  readBody(maxBytes: number): Promise<Buffer>;
  sendJson(status: number, body: unknown): Promise<void>;
  /** To be called once nothing works on the request any more: gives back what its body took of the budget. */
  release(): void;
}

/** Puts our request id on the answer, whatever the answer will be. */
export function openExchange(
  request: IncomingMessage,
  response: ServerResponse,
  { clock, bodies }: { readonly clock: Clock; readonly bodies: BodyBudget },
): Exchange {
  const share = bodies.open();
  const requestId = newId("req");
  response.setHeader("x-request-id", requestId);
  const reply = createReply(request, response);
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
    async readBody(maxBytes) {
      refuseTooLarge(request, maxBytes);
      return readBody(request, maxBytes, share);
    },
    async sendJson(status, body) {
      const bytes = Buffer.from(JSON.stringify(body));
      reply.begin(status, { "content-type": "application/json", "content-length": String(bytes.length) });
      await reply.end(bytes);
    },
    release: () => share.release(),
  };
}

function createReply(request: IncomingMessage, response: ServerResponse): Reply {
  const controller = new AbortController();
  const { signal } = controller;
  const cut = (reason: CutReason): void => {
    if (!response.writableFinished) controller.abort(reason);
  };
  response.on("close", () => cut("client_gone"));
  // A client that resets its connection is no fault of ours.
  response.on("error", () => cut("client_gone"));
  return {
    signal,
    cut,
    get begun() {
      return response.headersSent;
    },
    announce(headers) {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    },
    begin: (status, headers) => void response.writeHead(status, headers),
    async write(bytes) {
      if (signal.aborted) throw new Error("the request was cut");
      if (!response.write(bytes)) await drained(response, signal);
    },
    async end(bytes) {
      if (request.complete || request.readableEnded) return end(response, signal, bytes);
      if (bytes !== undefined && !signal.aborted) response.write(bytes);
      await taken(request, signal);
      return end(response, signal, undefined);
    },
  };
}

/** @throws Error if the request is cut before the client has taken what was written */
function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      response.off("drain", onDrain);
      signal.removeEventListener("abort", onCut);
    };
    const onDrain = (): void => {
      stop();
      resolve();
    };
    const onCut = (): void => {
      stop();
      reject(new Error("the request was cut"));
    };
    response.once("drain", onDrain);
    signal.addEventListener("abort", onCut, { once: true });
  });
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

/** A client that does not read what it asked for is cut off after this. */
const END_TIMEOUT_MS = 30_000;

function end(response: ServerResponse, signal: AbortSignal, bytes: Uint8Array | undefined): Promise<boolean> {
  if (response.destroyed || (signal.aborted && signal.reason === "client_gone")) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), END_TIMEOUT_MS);
    response.once("close", () => {
      clearTimeout(timer);
      resolve(response.writableFinished);
    });
    response.once("finish", () => {
      clearTimeout(timer);
      resolve(true);
    });
    response.end(bytes);
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
      if (!request.complete) reject(badBody("the request body ended before it was complete"));
    };
    request.on("error", onGone);
    request.on("close", onGone);
  });
}
