import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders as Http2Headers } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Component, currentOf, type WatchedSecret } from "@routeplane/runtime";
import type { ServiceAddress } from "../client/service-address.ts";
import type { CallOutcome, ServiceConnection } from "../client/service-connection.ts";
import { CLIENT_ADDRESS, RELAY_CREDENTIAL, REQUEST_ID } from "../headers.ts";

/** HTTP proxy that relays Connect calls to one service, without interpreting their bytes. */
export interface ServiceRelay extends Component {
  /**
   * Relays a call and its answer.
   *
   * @throws UnknownOutcome if a call that is not idempotent was sent and got no complete answer; ConnectError or Error if the service does
   * not answer, or breaks its answer off
   */
  forward(call: RelayedCall, reply: RelayReply): Promise<void>;
}

export interface RelayedCall {
  /** Path of the method, e.g. `/routeplane.auth.v1.KeyService/ListKeys`. */
  readonly path: string;
  /** Headers of the client's request, with the credential by which the service is called. Only some of them are relayed. */
  readonly headers: IncomingHttpHeaders;
  readonly requestId: string;
  /** Address from which the client connected; empty if unknown. */
  readonly clientAddress: string;
  readonly body: Buffer;
  /** True if the answer may have no end: the call is then cancelled when its client leaves, rather than read to its end. */
  readonly isStream: boolean;
  /** True if the call may be made again, on another address, when the first one gives no answer. */
  readonly isIdempotent: boolean;
}

/** Client's side of a relayed call. Writing waits for the client to take the bytes. */
export interface RelayReply {
  /** Aborted when the client leaves, or the call is cancelled. */
  readonly signal: RelaySignal;
  begin(status: number, headers: Readonly<Record<string, string>>): void;
  /** @throws Error if the call was cancelled */
  write(bytes: Uint8Array): Promise<void> | undefined;
  end(): unknown;
}

/** Part of an `AbortSignal` that a relay needs. */
export interface RelaySignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Request headers that are relayed. Cookies, forwarding headers and all others are dropped. */
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

/** Maximum bytes of one write to the HTTP/2 session: see `respondInPieces`. */
const PIECE_BYTES = 16 << 10;
/** Longer than the 30 s within which a service ends every call by itself. */
const HEADERS_TIMEOUT_MS = 31_000;
/** Maximum time for which the rest of an answer is read after its client left. */
const DRAIN_TIMEOUT_MS = 5_000;

/** @param serviceToken credential of the relaying process, for which the service trusts the client address and request id that it sends */
export function createServiceRelay(
  name: string,
  connection: ServiceConnection,
  serviceToken: string | WatchedSecret,
): ServiceRelay {
  return {
    name: `relay to ${name}`,
    async forward({ path, headers: clientHeaders, requestId, clientAddress, body, isStream, isIdempotent }, reply) {
      const origin = {
        [REQUEST_ID]: requestId,
        [CLIENT_ADDRESS]: clientAddress,
        [RELAY_CREDENTIAL]: currentOf(serviceToken),
      };
      const headers = { ...toServiceHeaders(clientHeaders), ...origin };
      let running: ClientHttp2Stream | undefined;
      let isAnswered = false;
      const endCall = (): void => running && end(running, isAnswered && !isStream);
      reply.signal.addEventListener("abort", endCall);
      const isWanted = (): boolean => !reply.signal.aborted;
      const attempt = async (address: ServiceAddress, abandoned: AbortSignal): Promise<Answer> => {
        running = undefined;
        const stream = await address.request("POST", path, headers);
        [running, isAnswered] = [stream, false];
        if (reply.signal.aborted) endCall();
        abandoned.addEventListener("abort", () => stream.close(constants.NGHTTP2_CANCEL), { once: true });
        void send(stream, body);
        const head = await headersOf(stream).catch((error: unknown) => {
          // Nothing of it was processed.
          if (error instanceof RefusedCall) running = undefined;
          throw error;
        });
        isAnswered = true;
        const chunks = stream.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
        const answer = { stream, head, chunks, held: isStream ? [] : await readAhead(stream, chunks) };
        if (isIdempotent && Number(head[":status"]) === UNAVAILABLE && stream.readableEnded)
          throw new UnavailableAnswer(answer);
        return answer;
      };
      const call = { outcomeOf, isIdempotent, isWanted };
      try {
        const { stream, head, chunks, held } = await connection.call(call, attempt).catch((error: unknown) => {
          if (error instanceof UnavailableAnswer) return error.answer;
          const isKnown = isIdempotent || running === undefined || outcomeOf(error) !== "unanswered";
          throw isKnown ? error : new UnknownOutcome();
        });
        reply.begin(Number(head[":status"] ?? 502), toClientHeaders(head));
        for (const chunk of held) await reply.write(chunk);
        for await (const chunk of chunks) await reply.write(chunk);
        requireComplete(stream);
        await reply.end();
      } finally {
        reply.signal.removeEventListener("abort", endCall);
        endCall();
      }
    },
    async stop() {
      connection.stop();
    },
  };
}

/** Bytes of an answer that are read before its head is sent on, so that a call whose answer breaks off can be made again. */
const HELD_BYTES = 64 << 10;

/** Reads the beginning of an answer, or all of it. @throws Error if the answer breaks off */
async function readAhead(stream: ClientHttp2Stream, chunks: AsyncIterator<Buffer>): Promise<readonly Buffer[]> {
  const held: Buffer[] = [];
  for (let bytes = 0; bytes < HELD_BYTES;) {
    const next = await chunks.next();
    if (next.done === true) {
      requireComplete(stream);
      break;
    }
    held.push(next.value);
    bytes += next.value.length;
  }
  return held;
}

/** A broken connection ends the iteration like a complete answer; only the code distinguishes them. */
function requireComplete(stream: ClientHttp2Stream): void {
  if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error("the service broke off its answer");
}

/** Answer of one process. */
interface Answer {
  readonly stream: ClientHttp2Stream;
  readonly head: Http2Headers;
  readonly chunks: AsyncIterable<Buffer>;
  /** Beginning of the body, before what `chunks` still returns. */
  readonly held: readonly Buffer[];
}

/** HTTP status of UNAVAILABLE in Connect. */
const UNAVAILABLE = 503;

/** Error for an idempotent call that one process answered with UNAVAILABLE: another process may be able to serve it. */
class UnavailableAnswer extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super("the service is not available");
    this.answer = answer;
  }
}

/** Error for a call that is not idempotent and may or may not have been processed by the service. */
export class UnknownOutcome extends Error {
  override readonly message = "the service did not answer a call that it may have done";
}

/** Error for a call that the service has not begun, because its session was about to close. */
class RefusedCall extends Error {
  override readonly message = "the service refused the call";
}

function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof RefusedCall) return "refused";
  const isTooSlow = error instanceof ConnectError && error.code === Code.DeadlineExceeded;
  return isTooSlow ? "answered" : "unanswered";
}

/** Sends the body piece by piece, and stops if the service has answered and reads no further. */
async function send(stream: ClientHttp2Stream, body: Buffer): Promise<void> {
  for (let from = 0; from < body.length; from += PIECE_BYTES) {
    if (!stream.writable) return;
    const piece = body.subarray(from, from + PIECE_BYTES);
    await new Promise<void>((resolve) => {
      stream.once("close", resolve);
      stream.write(piece, () => {
        stream.off("close", resolve);
        resolve();
      });
    });
  }
  stream.end();
}

/**
 * Ends a call whose answer is not needed any more. Resetting a stream leaks its bytes from the flow-control window of the session
 * (see `ServiceSession`), so an answer that has begun is read to its end if that comes soon.
 */
function end(stream: ClientHttp2Stream, mayDrain: boolean): void {
  if (stream.closed || stream.destroyed) return;
  if (!mayDrain) return stream.close(constants.NGHTTP2_CANCEL);
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), DRAIN_TIMEOUT_MS);
  stream.once("close", () => clearTimeout(timer));
  stream.resume();
}

async function headersOf(stream: ClientHttp2Stream): Promise<Http2Headers> {
  const failure = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    failure.reject(new ConnectError("too slow", Code.DeadlineExceeded));
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }, HEADERS_TIMEOUT_MS);
  const onClose = (): void => {
    const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
    failure.reject(isRefused ? new RefusedCall() : new Error("the service closed the call without an answer"));
  };
  stream.once("close", onClose);
  try {
    const [headers] = (await Promise.race([once(stream, "response"), failure.promise])) as [Http2Headers];
    return headers;
  } finally {
    clearTimeout(timer);
    stream.off("close", onClose);
  }
}

function toServiceHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  return pickHeaders(headers, REQUEST_HEADERS);
}

function toClientHeaders(headers: Http2Headers): Record<string, string> {
  const kept = Object.entries(pickHeaders(headers, RESPONSE_HEADERS));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

function pickHeaders(
  headers: IncomingHttpHeaders | Http2Headers,
  names: ReadonlySet<string>,
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && (names.has(name) || CONNECT_HEADER.test(name))) kept[name] = value;
  }
  return kept;
}
