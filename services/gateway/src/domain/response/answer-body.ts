import { UpstreamFault } from "../ports/upstream.ts";

/** Bound of a whole answer, which is held in memory while it is checked, and of one event of a stream. */
export const MAX_ANSWER_BYTES = 32 * 1024 ** 2;

/** Reads a whole body. @throws UpstreamFault `broken` beyond the bound; whatever the body throws */
export async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw new UpstreamFault("broken", `an answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Time in which the words of an error have to arrive: its head alone says that the request has failed. */
const MAX_ERROR_MS = 5_000;

/**
 * Reads the body of an error until `maxBytes` have arrived or 5 s are over; if it ends or breaks off before, all that arrived. The rest is left
 * to the caller, who discards the answer. Never throws.
 */
export async function collectStart(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reads = body[Symbol.asyncIterator]();
  const late = Promise.withResolvers<IteratorReturnResult<undefined>>();
  const timer = setTimeout(() => late.resolve({ done: true, value: undefined }), MAX_ERROR_MS);
  try {
    while (size < maxBytes) {
      const { done, value } = await Promise.race([reads.next(), late.promise]);
      if (done === true) break;
      chunks.push(value);
      size += value.length;
    }
  } catch {
    // The start is all that there is.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

/** Body whose kind is known. */
export interface RecognisedBody {
  /** True for server-sent events. */
  readonly isStream: boolean;
  /** All bytes of the body, the first ones included. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Bytes that are read to recognise a body; some upstreams send blank lines while they think. */
const MAX_START_BYTES = 64 * 1024;

/**
 * Recognises server-sent events by their first bytes, because upstreams label streams as text or JSON, and JSON as a stream. If the bytes
 * do not decide, the media type does.
 *
 * @param contentType media type in lower case, without parameters; empty if there was none
 * @param isStreamed true if a stream was asked for: then a body without a media type is one
 */
export async function recogniseBody(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
  isStreamed: boolean,
): Promise<RecognisedBody> {
  const chunks = body[Symbol.asyncIterator]();
  const read: Promise<IteratorResult<Uint8Array>>[] = [];
  const start = new BodyStart();
  while (start.kind === undefined) {
    const next = chunks.next();
    read.push(next);
    // A fault is thrown again where the body is read.
    const result = await next.catch(() => undefined);
    if (result === undefined || result.done === true) break;
    start.push(result.value);
  }
  const isLabelled = contentType === "text/event-stream" || (isStreamed && contentType === "");
  const isStream = start.kind === "stream" || (start.kind !== "json" && isLabelled);
  return { isStream, body: replayed(read, chunks) };
}

/** Body of which some reads were made already: it gives their results first, whether bytes or a fault. */
export function replayed(
  read: Promise<IteratorResult<Uint8Array>>[],
  chunks: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const next = (): Promise<IteratorResult<Uint8Array>> => read.shift() ?? chunks.next();
  const end = async (): Promise<IteratorResult<Uint8Array>> =>
    (await chunks.return?.()) ?? { done: true, value: undefined };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

const FIELD = /^(?:data|event|id|retry)?:|^(?:data|event|id|retry)[\r\n]/;
const PART_OF_FIELD = /^(?:d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)?$/;
const LONGEST_FIELD = "event:".length;
const BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

/** First characters of a body, without blanks before them. */
class BodyStart {
  #text = "";
  #bytes = 0;
  /** Kind of the body; undefined while more bytes decide. */
  kind: "stream" | "json" | "other" | undefined;

  push(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#text === "" && bytes[0] === OPENING_BRACE) {
      this.kind = "json";
      return;
    }
    for (const byte of bytes) {
      if (this.#text.length >= BYTE_ORDER_MARK.length + LONGEST_FIELD) break;
      if (this.#text !== "" || byte > SPACE) this.#text += String.fromCharCode(byte);
    }
    this.kind = this.#kind();
  }

  #kind(): BodyStart["kind"] {
    if (BYTE_ORDER_MARK.startsWith(this.#text)) return this.#bytes < MAX_START_BYTES ? undefined : "other";
    const text = this.#text.replace(BYTE_ORDER_MARK, "").trimStart();
    if (FIELD.test(text)) return "stream";
    if (/^[[{"]/.test(text)) return "json";
    return PART_OF_FIELD.test(text) && this.#bytes < MAX_START_BYTES ? undefined : "other";
  }
}

const SPACE = 0x20;
const OPENING_BRACE = 0x7b;
