import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Id, newId } from "@routeplane/domain";
import type { CancelReason, Reply } from "../domain/ports/reply.ts";
import type { LoadGate, RunningPlace } from "../domain/load/load-gate.ts";
import { endAnswer, type Sending, writeBytes } from "./answer-writer.ts";
import type { BodyBudget, BodyShare } from "./body-budget.ts";
import { markEventStream } from "./half-closed.ts";
import { announcedBytes, drain, readBody, requireAnnouncedSize } from "./request-body.ts";
import { expectsContinue } from "./request-head.ts";
import { Cancellation, type CancelSignal } from "../domain/ports/cancel-signal.ts";

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
   * Takes a place among the running requests, which `release` gives up.
   *
   * @returns the wait for the start of the request; undefined if it may start at once
   * @throws Refusal 503 if there is no place for it, or it waits for too long
   */
  takePlace(namespaceId: string): Promise<void> | undefined;
  /**
   * Reads the whole body. A client that expects `100 Continue` gets it first.
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
  /** Gives up its place, and returns the bytes of the body to the budget. Called once nothing works on the request any more. */
  release(): void;
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly bodies: BodyBudget;
  readonly loadGate: LoadGate;
  /** Time after which a client that takes nothing of its answer is disconnected; one that is slow is not. 30 s by default. */
  readonly stallTimeoutMs?: number;
}

/** Default of `stallTimeoutMs`. The kernel accepts more only once the client has read some 1.5 MB: a slow one needs time. */
const STALL_TIMEOUT_MS = 30_000;

/** Opens the exchange for a request; the header `x-request-id` of its answer is a new id. */
export function openExchange(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions): Exchange {
  return new HttpExchange(request, response, options);
}

/** A class, as `HttpReply` is: an object with getters takes 5 us to make, because each is defined anew. */
class HttpExchange implements Exchange {
  readonly requestId = newId("req");
  readonly createdAt: Date;
  readonly method: string;
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly reply: Reply;
  isEndless = false;
  readonly #bodies: BodyBudget;
  readonly #loadGate: LoadGate;
  #place: RunningPlace | undefined;
  #share: BodyShare | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    const { clock, bodies, loadGate, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
    const { method = "GET", url = "/" } = request;
    const query = url.indexOf("?");
    this.createdAt = new Date(clock());
    this.method = method;
    this.path = query === -1 ? url : url.slice(0, query);
    this.request = request;
    this.response = response;
    this.reply = new HttpReply(request, response, stallTimeoutMs, this.requestId);
    this.#bodies = bodies;
    this.#loadGate = loadGate;
  }

  requireAnnouncedSize(maxBytes: number): void {
    requireAnnouncedSize(this.request, maxBytes);
  }

  takePlace(namespaceId: string): Promise<void> | undefined {
    this.#place = this.#loadGate.enter(namespaceId, announcedBytes(this.request) ?? 0, this.reply.signal);
    return this.#place.turn;
  }

  async readBody(maxBytes: number, holders: readonly string[], isText = false): Promise<Buffer> {
    const { request, response } = this;
    this.#share = this.#bodies.open(holders);
    const onStart = (): void => {
      if (expectsContinue(request)) response.writeContinue();
    };
    const body = await readBody(request, { maxBytes, share: this.#share, isText }, onStart);
    // The size of a body in chunks is known only now.
    this.#place?.charge(body.length);
    return body;
  }

  async sendJson(status: number, body: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(body));
    this.reply.begin(status, { "content-type": "application/json", "content-length": String(bytes.length) });
    await this.reply.end(bytes);
  }

  markEndless(): void {
    this.isEndless = true;
    const { socket } = this.request;
    const cancel = (): void => this.reply.cancel("client_gone");
    socket.once("end", cancel);
    this.response.once("close", () => socket.off("end", cancel));
    if (socket.readableEnded) cancel();
  }

  release(): void {
    this.#place?.leave();
    this.#share?.release();
  }
}

class HttpReply implements Reply {
  readonly signal = new Cancellation();
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #sending: Sending & { readonly signal: CancelSignal };
  /** Headers of the answer, whatever it will be. Setting each on the response would check and store it twice. */
  readonly #announced: Record<string, string>;

  constructor(request: IncomingMessage, response: ServerResponse, stallTimeoutMs: number, requestId: string) {
    this.#request = request;
    this.#response = response;
    this.#sending = { response, signal: this.signal, stallTimeoutMs };
    this.#announced = { "x-request-id": requestId };
    const onGone = (): void => this.cancel("client_gone");
    response.on("close", onGone);
    // A client that resets its connection is not an error of the gateway.
    response.on("error", onGone);
  }

  cancel(reason: CancelReason): void {
    if (!this.#response.writableFinished) this.signal.abort(reason);
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  announce(headers: Readonly<Record<string, string>>): void {
    Object.assign(this.#announced, headers);
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    if (headers["content-type"]?.startsWith("text/event-stream") === true) markEventStream(this.#response);
    this.#response.writeHead(status, Object.assign(this.#announced, headers));
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.signal.aborted) return Promise.reject(new Error("the request was cancelled"));
    return writeBytes(this.#sending, bytes);
  }

  end(bytes?: Uint8Array): boolean | Promise<boolean> {
    const request = this.#request;
    return request.complete || request.readableEnded
      ? endAnswer(this.#sending, bytes)
      : endAfterRequest(request, this.#sending, bytes);
  }
}

/**
 * Sends the rest of an answer whose request has not arrived whole, reads and drops the rest of the request, and ends the answer. The connection
 * is closed if that rest does not end within the bounds.
 */
async function endAfterRequest(
  request: IncomingMessage,
  sending: Sending & { readonly signal: CancelSignal },
  bytes: Uint8Array | undefined,
): Promise<boolean> {
  const { signal } = sending;
  const written = bytes === undefined || signal.aborted ? undefined : writeBytes(sending, bytes);
  await Promise.allSettled([written, drain(request, signal)]);
  const isTaken = await endAnswer(sending);
  if (!request.complete) request.socket.destroySoon();
  return isTaken;
}
