import { pipeline, type Transform } from "node:stream";
import zlib from "node:zlib";
import { UpstreamFault } from "../domain/ports/upstream.ts";

/**
 * Decoding of answers that an upstream compresses although it is asked not to. Streaming: what the upstream has flushed is passed on
 * at once. Memory is bounded whatever the ratio: a decoder reads on only when its output has been taken, and the reader of
 * an answer bounds that output.
 */

/** Content codings from the outermost one inwards; undefined if one is unknown, or if they are too many. */
export function codingsOf(contentEncoding: string | readonly string[] | undefined): readonly Coding[] | undefined {
  if (contentEncoding === undefined) return [];
  const names = String(contentEncoding)
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "identity");
  const codings = names.map((name) => CODINGS.get(name)).filter((coding) => coding !== undefined);
  return codings.length < names.length || codings.length > MAX_CODINGS ? undefined : codings.toReversed();
}

/** Opens a decoder for bytes with this start; undefined if they are not encoded. */
type Coding = (start: Uint8Array) => Transform | undefined;

/** Bound of codings that are applied one after another; each has a decoder with its own memory. */
const MAX_CODINGS = 2;
/** Log of the largest zstd window that is accepted, 8 MiB as RFC 9659 demands of senders; the format allows gigabytes. */
const ZSTD_WINDOW_LOG_MAX = 23;

const gunzip: Coding = () => zlib.createGunzip();
/** Decoder of `deflate`, which means the zlib format; some servers send raw deflate. The first byte tells them apart. */
const inflate: Coding = ([first = 0]) => ((first & 0x0f) === 0x08 ? zlib.createInflate() : zlib.createInflateRaw());
const CODINGS: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  ["deflate", inflate],
  ["br", () => zlib.createBrotliDecompress()],
  ["zstd", () => zlib.createZstdDecompress({ params: { [zlib.constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } })],
]);

/** Coding of bytes without a label: some servers compress and do not say so. No JSON or event begins like gzip. */
const unlabelled: Coding = (start) => (start[0] === 0x1f && start[1] === 0x8b ? zlib.createGunzip() : undefined);

/** Decodes a body. @throws UpstreamFault where it is damaged or incomplete, or what reading the body throws */
export function decode(body: AsyncIterable<Uint8Array>, codings: readonly Coding[]): AsyncIterable<Uint8Array> {
  return (codings.length === 0 ? [unlabelled] : codings).reduce(decodeOne, body);
}

/** Decodes by one coding. No generator stands between a body that is not encoded and its reader: it would cost 1 % of a request. */
function decodeOne(body: AsyncIterable<Uint8Array>, coding: Coding): AsyncIterable<Uint8Array> {
  const encoded = body[Symbol.asyncIterator]();
  let decoded: AsyncIterator<Uint8Array> | undefined;
  const next = (): Promise<IteratorResult<Uint8Array>> => (decoded === undefined ? first() : decoded.next());
  const first = async (): Promise<IteratorResult<Uint8Array>> => {
    const start = await readStart(encoded);
    if (start === undefined) return { done: true, value: undefined };
    const decoder = coding(start);
    decoded = decoder === undefined ? encoded : decodedBy(decoder, start, encoded);
    return decoder === undefined ? { done: false, value: start } : decoded.next();
  };
  const end = async (): Promise<IteratorResult<Uint8Array>> =>
    (await (decoded ?? encoded).return?.()) ?? { done: true, value: undefined };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

/** @param start first bytes of the encoded body, of which `chunks` are the rest */
async function* decodedBy(
  decoder: Transform,
  start: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const rest: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => chunks };
  let sourceFault: unknown;
  const source = async function* () {
    try {
      yield start;
      yield* rest;
    } catch (error) {
      sourceFault = error;
      throw error;
    }
  };
  try {
    // The iteration below throws the errors of both.
    yield* pipeline(source, decoder, () => {});
  } catch (error) {
    throw sourceFault ?? new UpstreamFault("broken", "the compressed answer of the upstream is damaged", error);
  }
}

/** Reads until there are two bytes, which show the coding. @returns undefined if the body is empty */
async function readStart(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  let start: Uint8Array | undefined;
  while (start === undefined || start.length < 2) {
    const { done, value } = await chunks.next();
    if (done === true) return start;
    if (value.length > 0) start = start === undefined ? value : Buffer.concat([start, value]);
  }
  return start;
}
