import type { Socket } from "node:net";
import type { buildConnector } from "undici";

type Connector = buildConnector.connector;
type OnWritten = (error?: Error | null) => void;

/** Bound of the head of an interim answer; a longer one is left to the HTTP client, which refuses it. */
const MAX_HEAD_BYTES = 16 * 1024;
/** Start of an interim answer. 101 is none: it ends HTTP on the connection. */
const INTERIM = /^HTTP\/1\.[01] 1(?!01)\d\d/;
const INTERIM_CHARS = "HTTP/1.1 100".length;
/** Matches starts that need more bytes for a decision. */
const UNDECIDED = /^H?T?T?P?\/?1?\.?[01]? ?1?\d?$/;
const HEAD_END = "\r\n\r\n";

/**
 * Decorates a connector so that interim answers (100, 102, 103) are skipped. Servers and proxies send `100 Continue` although nobody
 * asked for it, and the HTTP client takes it for a broken answer.
 */
export function skippingInterimAnswers(connect: Connector): Connector {
  return (options, callback) => {
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error === null && socket !== null) skipInterimAnswers(socket);
      callback(...result);
    });
  };
}

/** Removes interim answers from the bytes that are read between a request and the head of its answer. */
function skipInterimAnswers(socket: Socket): void {
  const read = socket.read.bind(socket);
  let awaitsHead = false;
  let held: Buffer = Buffer.alloc(0);
  // The client writes the head of a request as text, and every body as bytes.
  const write = socket.write.bind(socket);
  socket.write = (data: string | Uint8Array, encoding?: BufferEncoding | OnWritten, onWritten?: OnWritten) => {
    if (typeof data === "string") awaitsHead = true;
    return typeof encoding === "function" ? write(data, undefined, encoding) : write(data, encoding, onWritten);
  };
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size) as Buffer | null;
      if (!awaitsHead || chunk === null) return chunk;
      if (held.length === 0 && isFinal(chunk)) {
        awaitsHead = false;
        return chunk;
      }
      held = withoutInterim(held.length === 0 ? chunk : Buffer.concat([held, chunk]));
      if (mayBeInterim(held)) continue;
      awaitsHead = false;
      const passed = held;
      held = Buffer.alloc(0);
      return passed;
    }
  };
}

/** Position of the first digit of the status. */
const STATUS_AT = "HTTP/1.1 ".length;

/** True if the bytes begin with the head of a final answer, as almost all do: found without making a text of them. */
function isFinal(bytes: Buffer): boolean {
  const digit = bytes[STATUS_AT];
  return digit !== undefined && digit >= DIGIT_TWO && digit <= DIGIT_FIVE;
}

const [DIGIT_TWO, DIGIT_FIVE] = [0x32, 0x35];

/** Removes the interim answers that are complete. */
function withoutInterim(bytes: Buffer): Buffer {
  let from = 0;
  while (INTERIM.test(startOf(bytes, from))) {
    const end = bytes.indexOf(HEAD_END, from, "latin1");
    if (end === -1) break;
    from = end + HEAD_END.length;
  }
  return bytes.subarray(from);
}

/** True if more bytes decide whether, or where, an interim answer ends. */
function mayBeInterim(bytes: Buffer): boolean {
  const start = startOf(bytes, 0);
  return bytes.length <= MAX_HEAD_BYTES && (UNDECIDED.test(start) || INTERIM.test(start));
}

function startOf(bytes: Buffer, from: number): string {
  return bytes.toString("latin1", from, from + INTERIM_CHARS);
}
