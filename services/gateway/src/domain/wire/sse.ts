/** One event of a stream of server-sent events, as bytes and as data. */
export interface SseEvent {
  /** Exactly what the upstream sent for it, blank line included. */
  readonly raw: Buffer;
  /** The `data` fields, joined by newlines; undefined if the event has none (e.g. a comment that keeps the line alive). */
  readonly data: string | undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

export class SseOverflow extends Error {
  override readonly name = "SseOverflow";
}

/**
 * Cuts a byte stream into server-sent events (HTML standard, 9.2.6). Lines end with LF, CR or CRLF, and a chunk may end
 * anywhere, within a character or a line end too: whatever the chunks, the events are the same and their bytes together are
 * the stream. Keeps at most one unfinished event, of bounded size.
 */
export class SseSplitter {
  readonly #maxEventBytes: number;
  #pending: Buffer = Buffer.alloc(0);
  /** Memory that `#pending` begins, with room for more: pieces of a large event are not copied anew with each further one. */
  #room: Buffer = Buffer.alloc(0);
  /** Where in `#pending` to go on looking, and where the line that is being read starts. */
  #at = 0;
  #lineStart = 0;
  #atStreamStart = true;

  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** @throws SseOverflow if an event grows beyond the bound */
  push(chunk: Uint8Array): SseEvent[] {
    this.#pending = this.#pending.length === 0 ? viewOf(chunk) : this.#pendingWith(chunk);
    const events: SseEvent[] = [];
    for (let end = this.#nextEnd(); end !== -1; end = this.#nextEnd()) events.push(this.#take(end));
    if (this.#pending.length > this.#maxEventBytes) throw new SseOverflow("an event of the stream is too large");
    return events;
  }

  /** Writes behind what is pending, and never into what an event that was returned is a view of. */
  #pendingWith(chunk: Uint8Array): Buffer {
    const pending = this.#pending;
    const length = pending.length + chunk.length;
    const begins = this.#room.buffer === pending.buffer && this.#room.byteOffset === pending.byteOffset;
    if (!begins || this.#room.length < length) {
      this.#room = Buffer.allocUnsafeSlow(2 * length);
      pending.copy(this.#room);
    }
    this.#room.set(chunk, pending.length);
    return this.#room.subarray(0, length);
  }

  /** What is left when the stream is over: an event without its blank line counts as one. */
  end(): SseEvent[] {
    return this.#pending.length === 0 ? [] : [this.#take(this.#pending.length)];
  }

  /** The end of the first whole event in `#pending`, or -1. A CR at the very end waits: an LF may belong to it. */
  #nextEnd(): number {
    const bytes = this.#pending;
    while (this.#at < bytes.length) {
      const byte = bytes[this.#at];
      if (byte !== LF && byte !== CR) {
        this.#at++;
        continue;
      }
      if (byte === CR && this.#at + 1 === bytes.length) return -1;
      const next = this.#at + (byte === CR && bytes[this.#at + 1] === LF ? 2 : 1);
      const blank = this.#at === this.#lineStart;
      this.#at = next;
      this.#lineStart = next;
      if (blank) return next;
    }
    return -1;
  }

  #take(end: number): SseEvent {
    const raw = this.#pending.subarray(0, end);
    this.#pending = this.#pending.subarray(end);
    this.#at = 0;
    this.#lineStart = 0;
    const content = this.#atStreamStart && raw.subarray(0, 3).equals(BYTE_ORDER_MARK) ? raw.subarray(3) : raw;
    this.#atStreamStart = false;
    return { raw, data: dataOf(content.toString("utf8")) };
  }
}

/** The event that carries this data. */
export function formatSse(data: string): Buffer {
  return Buffer.from(`data: ${data}\n\n`);
}

function dataOf(event: string): string | undefined {
  const values = event
    .split(/\r\n|\n|\r/)
    .filter((line) => line === "data" || line.startsWith("data:"))
    .map((line) => line.slice("data:".length).replace(/^ /, ""));
  return values.length === 0 ? undefined : values.join("\n");
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
