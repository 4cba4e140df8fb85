/** Server-sent event, as bytes and as data. */
export interface SseEvent {
  /** Bytes that the upstream sent for it, blank line included, and a byte order mark before it left out. */
  readonly raw: Buffer;
  /** `data` fields, joined by newlines; undefined if the event has none, e.g. a comment that keeps the connection alive. */
  readonly data: string | undefined;
  /** Last `event` field; undefined if there is none. */
  readonly name?: string | undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Fault of a stream whose event is larger than the bound. */
export class SseOverflow extends Error {
  override readonly name = "SseOverflow";
}

/**
 * Splitter of a byte stream into server-sent events (HTML standard, 9.2.6). Lines end with LF, CR or CRLF, and a chunk may end
 * anywhere, even within a character or a line end: the events do not depend on the chunks, and their bytes together are the
 * stream. Keeps at most one unfinished event, of bounded size.
 */
export class SseSplitter {
  readonly #maxEventBytes: number;
  #pending: Buffer = Buffer.alloc(0);
  /** Memory that starts with `#pending` and has free space, so that a large event is not copied again with each chunk of it. */
  #memory: Buffer = Buffer.alloc(0);
  /** Position in `#pending` from which to search on. */
  #at = 0;
  /** Position in `#pending` at which the line that is being read starts. */
  #lineStart = 0;
  #atStreamStart = true;

  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** Takes a chunk. @returns the events that it completes. @throws SseOverflow if an event grows beyond the bound */
  push(chunk: Uint8Array): SseEvent[] {
    this.#pending = this.#pending.length === 0 ? viewOf(chunk) : this.#pendingWith(chunk);
    const events: SseEvent[] = [];
    for (let end = this.#nextEnd(); end !== -1; end = this.#nextEnd()) events.push(this.#take(end));
    if (this.#pending.length > this.#maxEventBytes) throw new SseOverflow("an event of the stream is too large");
    return events;
  }

  /** Appends a chunk to the pending bytes. Never writes into memory that a returned event views. */
  #pendingWith(chunk: Uint8Array): Buffer {
    const pending = this.#pending;
    const length = pending.length + chunk.length;
    const isFirst = this.#memory.buffer === pending.buffer && this.#memory.byteOffset === pending.byteOffset;
    if (!isFirst || this.#memory.length < length) {
      this.#memory = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * length, this.#maxEventBytes)));
      pending.copy(this.#memory);
    }
    this.#memory.set(chunk, pending.length);
    return this.#memory.subarray(0, length);
  }

  /** Ends the stream. @returns the pending bytes as an event, though it lacks its blank line */
  end(): SseEvent[] {
    return this.#pending.length === 0 ? [] : [this.#take(this.#pending.length)];
  }

  /** Finds the end of the first complete event in `#pending`; -1 if there is none. A CR at the very end waits for its LF. */
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
    const bytes = this.#pending.subarray(0, end);
    this.#pending = this.#pending.subarray(end);
    this.#at = 0;
    this.#lineStart = 0;
    const raw = this.#atStreamStart ? withoutByteOrderMark(bytes) : bytes;
    this.#atStreamStart = false;
    return { raw, ...fieldsOf(raw.toString("utf8")) };
  }
}

/** Encodes data, of one line, as an event. */
export function formatSse(data: string): Buffer {
  return Buffer.from(`data: ${data}\n\n`);
}

/** Encodes data, of one line, as an event of a name. */
export function formatNamedSse(name: string, data: string): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${data}\n\n`);
}

/** Removes a byte order mark from the start of a text. */
export function withoutByteOrderMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? bytes.subarray(3) : bytes;
}

function fieldsOf(event: string): Pick<SseEvent, "data" | "name"> {
  let data: string | undefined;
  let name: string | undefined;
  for (const line of event.split(/\r\n|\n|\r/)) {
    const value = valueOf(line, "data");
    if (value !== undefined) data = data === undefined ? value : `${data}\n${value}`;
    else name = valueOf(line, "event") ?? name;
  }
  return { data, name };
}

/** Value of a field, if the line is one of that name. */
function valueOf(line: string, name: string): string | undefined {
  if (!line.startsWith(name)) return undefined;
  if (line.length === name.length) return "";
  if (line[name.length] !== ":") return undefined;
  return line.slice(line[name.length + 1] === " " ? name.length + 2 : name.length + 1);
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
