import type { ErrorFormat } from "../errors/error-envelope.ts";
import type { Refusal } from "../errors/refusal.ts";
import type { Reply } from "../ports/reply.ts";
import { cancelReasonOf } from "./cancellation.ts";
import type { RelayResult } from "./relay-result.ts";

/**
 * Silence after which a stream has a heart-beat. The first one is also the latest time at which the head of the answer leaves:
 * a refusal of the upstream that comes later is an error event. Proxies and clients give up after 30 s and more.
 */
export const HEARTBEAT_MS = 15_000;
/** Comment, which every client of server-sent events ignores. */
const HEARTBEAT = Buffer.from(": keep-alive\n\n");

/** Head of every stream. Keeps proxies from compressing, buffering (nginx) or storing it. */
const HEAD = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/**
 * Client's side of a streamed answer: head, events, heart-beats while nothing else leaves, and the end. A heart-beat is skipped
 * while the client has not taken what was sent before. Every method but `write` may be called at any time.
 */
export class ClientStream {
  readonly #reply: Reply;
  readonly #errors: ErrorFormat;
  readonly #heartbeatMs: number;
  #timer: NodeJS.Timeout | undefined;
  #writes = 0;
  #isEnded = false;

  /** @param errors renders the refusal that ends a stream */
  constructor(reply: Reply, errors: ErrorFormat, heartbeatMs = HEARTBEAT_MS) {
    this.#reply = reply;
    this.#errors = errors;
    this.#heartbeatMs = heartbeatMs;
  }

  /** True once the head has left: a refusal has no status any more. */
  get hasBegun(): boolean {
    return this.#reply.begun;
  }

  /** Starts the heart-beats. Called once the admission is committed: from now on the head may leave. */
  start(): void {
    if (this.#isEnded) return;
    // A cancelled request is ended by those who wait for its answer.
    this.#timer = setTimeout(() => void this.#beat().catch(() => {}), this.#heartbeatMs);
  }

  /** Stops the heart-beats. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /**
   * Sends whole events; nothing once the stream has ended.
   *
   * @returns undefined if the client has taken them at once
   * @throws Error if the request was cancelled
   */
  write(events: readonly Buffer[]): Promise<void> | undefined {
    if (events.length === 0 || this.#isEnded) return undefined;
    const sending = this.#send(events.length === 1 ? (events[0] as Buffer) : Buffer.concat(events));
    if (sending !== undefined) return sending.then(() => void this.#timer?.refresh());
    this.#timer?.refresh();
    return undefined;
  }

  /** Ends the stream, after a last event if there is one. Only the first call counts. */
  async end(last?: Buffer): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.stop();
    this.#begin();
    await this.#reply.end(last);
  }

  /**
   * Sends the refusal of a result whose head has left as the last event of the stream.
   *
   * @returns the result as it is recorded: with the refusal that is still to be sent, or without it and with the status 200
   */
  async finish(result: RelayResult): Promise<RelayResult> {
    const { signal } = this.#reply;
    const { refusal, ...sent } = result;
    if (refusal === undefined || !this.hasBegun) return result;
    if (signal.aborted && cancelReasonOf(this.#reply) === "client_gone") return { ...result, httpStatus: 200 };
    await this.endRefused(refusal);
    return { ...sent, httpStatus: 200 };
  }

  /** Ends the stream with an error event, by which its client learns that it will not be finished. */
  endRefused(refusal: Refusal): Promise<void> {
    return this.end(this.#errors.toEvent(refusal));
  }

  #begin(): void {
    if (!this.#reply.begun) this.#reply.begin(200, HEAD);
  }

  #send(bytes: Buffer): Promise<void> | undefined {
    this.#begin();
    const writing = this.#reply.write(bytes);
    if (writing === undefined) return undefined;
    this.#writes++;
    return writing.finally(() => this.#writes--);
  }

  async #beat(): Promise<void> {
    if (this.#isEnded || this.#reply.signal.aborted) return;
    this.#timer?.refresh();
    if (this.#writes === 0) await this.#send(HEARTBEAT);
  }
}
