import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Id, newId } from "@routeplane/domain";
import type { CancelReason, Reply } from "../domain/ports/reply.ts";
import { endAnswer, type Sending, writeBytes } from "./answer-writer.ts";
import type { BodyBudget, BodyShare } from "./body-budget.ts";
import { markEventStream } from "./half-closed.ts";
import { drain, readBody, requireAnnouncedSize } from "./request-body.ts";
import { expectsContinue } from "./request-head.ts";

/** HTTP request and its answer. */
export interface Exchange {
  readonly requestId: Id<"req">;
  /** Time at which the gateway received it. */
  readonly createdAt: Date;
  readonly method: string;
  /** Path of the URL, without the query. */
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly reply: Reply;
  /** Checks the size that the request announces. @throws Refusal 413 */
  requireAnnouncedSize(maxBytes: number): void;
  /**
   * Reads the whole body, and tells a client that expects it to send it.
   *
   * @param holders ids that its bytes are counted for, see `BodyBudget`
   * @param isText see `BodyBounds`; false by default
   * @throws Refusal 413; 400 if the client leaves first; 408 if it stops arriving; 503 if the budget has no space for it
   */
  readBody(maxBytes: number, holders: readonly string[], isText?: boolean): Promise<Buffer>;
  sendJson(status: number, body: unknown): Promise<void>;
  /**
   * Marks the answer as one without an end, into which nothing can be written to find out if the client is gone: it is cancelled
   * once the client ends its side of the connection, and once the gateway is stopping.
   */
  markEndless(): void;
  readonly isEndless: boolean;
  /** Returns the bytes of the body to the budget. Called once nothing works on the request any more. */
  release(): void;
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly bodies: BodyBudget;
  /** Time after which a client that takes nothing of its answer is disconnected; one that is slow is not. 30 s by default. */
  readonly stallTimeoutMs?: number;
}

/** Default of `stallTimeoutMs`. The kernel accepts more only once the client has read some 1.5 MB: a slow one needs time. */
const STALL_TIMEOUT_MS = 30_000;

/** Opens the exchange for a request; the header `x-request-id` of its answer is a new id. */
export function openExchange(
  request: IncomingMessage,
  response: ServerResponse,
  { clock, bodies, stallTimeoutMs = STALL_TIMEOUT_MS }: ExchangeOptions,
): Exchange {
  let isEndless = false;
  let share: BodyShare | undefined;
  const requestId = newId("req");
  const reply = createReply({ request, response, stallTimeoutMs, requestId });
  const { method = "GET", url = "/" } = request;
  const query = url.indexOf("?");
  return {
    requestId,
    createdAt: new Date(clock()),
    method,
    path: query === -1 ? url : url.slice(0, query),
    request,
    response,
    reply,
    requireAnnouncedSize: (maxBytes) => requireAnnouncedSize(request, maxBytes),
    readBody(maxBytes, holders, isText = false) {
      share = bodies.open(holders);
      const onStart = (): void => {
        if (expectsContinue(request)) response.writeContinue();
      };
      return readBody(request, { maxBytes, share, isText }, onStart);
    },
    async sendJson(status, body) {
      const bytes = Buffer.from(JSON.stringify(body));
      reply.begin(status, { "content-type": "application/json", "content-length": String(bytes.length) });
      await reply.end(bytes);
    },
    get isEndless() {
      return isEndless;
    },
    markEndless() {
      isEndless = true;
      const { socket } = request;
      const cancel = (): void => reply.cancel("client_gone");
      socket.once("end", cancel);
      response.once("close", () => socket.off("end", cancel));
      if (socket.readableEnded) cancel();
    },
    release: () => share?.release(),
  };
}

interface ReplyOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly stallTimeoutMs: number;
  readonly requestId: string;
}

function createReply({ request, response, stallTimeoutMs, requestId }: ReplyOptions): Reply {
  const controller = new AbortController();
  const { signal } = controller;
  const sending = { response, signal, stallTimeoutMs };
  const cancel = (reason: CancelReason): void => {
    if (!response.writableFinished) controller.abort(reason);
  };
  response.on("close", () => cancel("client_gone"));
  // A client that resets its connection is no error of the gateway.
  response.on("error", () => cancel("client_gone"));
  /** Headers of the answer, whatever it will be. Setting each on the response would check and store it twice. */
  const announced: Record<string, string> = { "x-request-id": requestId };
  return {
    signal,
    cancel,
    get begun() {
      return response.headersSent;
    },
    announce: (headers) => void Object.assign(announced, headers),
    begin(status, headers) {
      if (headers["content-type"]?.startsWith("text/event-stream") === true) markEventStream(response);
      response.writeHead(status, { ...announced, ...headers });
    },
    write(bytes) {
      if (signal.aborted) return Promise.reject(new Error("the request was cancelled"));
      return writeBytes(sending, bytes);
    },
    end(bytes) {
      return request.complete || request.readableEnded
        ? endAnswer(sending, bytes)
        : endAfterRequest(request, sending, bytes);
    },
  };
}

/** Sends the rest of an answer whose request has not arrived whole, reads and drops that, and ends the answer. */
async function endAfterRequest(
  request: IncomingMessage,
  sending: Sending & { readonly signal: AbortSignal },
  bytes: Uint8Array | undefined,
): Promise<boolean> {
  const { signal } = sending;
  const written = bytes === undefined || signal.aborted ? undefined : writeBytes(sending, bytes);
  await Promise.allSettled([written, drain(request, signal)]);
  return endAnswer(sending);
}
