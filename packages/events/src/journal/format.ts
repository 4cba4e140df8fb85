import { crc32 } from "node:zlib";

/**
 * What a segment of the journal looks like: a header, then records, nothing between and nothing behind them. All numbers are
 * big-endian.
 *
 *     header  "RPLJRNL1" · 16 bytes id of the process's session · CRC32 of both
 *     record  CRC32 of the rest · u32 length of the body · body
 *     body    u8 kind · u48 place · payload
 */
export type JournalRecord =
  /** A usage event, at its place in the journal. */
  | { readonly kind: "event"; readonly place: number; readonly payload: Uint8Array }
  /** What this process owes another service, in words of its own. */
  | { readonly kind: "debt"; readonly place: number; readonly payload: Uint8Array }
  /** That debt is paid. */
  | { readonly kind: "paid"; readonly place: number }
  /** The events from `place` to `last` are about to be sent as one message. */
  | { readonly kind: "sent"; readonly place: number; readonly last: number }
  /** They are acknowledged. */
  | { readonly kind: "acked"; readonly place: number; readonly last: number };

export interface SegmentContent {
  /** Id of the session that wrote it, as hexadecimal digits; undefined if the header is not readable. */
  readonly session: string | undefined;
  readonly records: readonly JournalRecord[];
  /** Where the last readable record ends. */
  readonly end: number;
  /** Bytes that are no record, before `end`: damage, where a torn write only leaves bytes after it. */
  readonly damagedBytes: number;
}

const MAGIC = Buffer.from("RPLJRNL1");
const SESSION_BYTES = 16;
export const HEADER_BYTES = MAGIC.length + SESSION_BYTES + 4;
const FRAME_BYTES = 8;
const BODY_BYTES = 7;
/** No payload is larger: what says so is damage. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;

const KINDS = ["event", "debt", "paid", "sent", "acked"] as const satisfies readonly JournalRecord["kind"][];

/** @param session 32 hexadecimal digits */
export function encodeHeader(session: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.write(session, MAGIC.length, "hex");
  header.writeUInt32BE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
  return header;
}

export function encodeRecord(record: JournalRecord): Buffer {
  const payload = payloadOf(record);
  const bytes = Buffer.allocUnsafe(FRAME_BYTES + BODY_BYTES + payload.length);
  bytes.writeUInt32BE(BODY_BYTES + payload.length, 4);
  bytes.writeUInt8(KINDS.indexOf(record.kind) + 1, FRAME_BYTES);
  bytes.writeUIntBE(record.place, FRAME_BYTES + 1, 6);
  bytes.set(payload, FRAME_BYTES + BODY_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/**
 * All that can be read. A record is whole or it is not there: what a torn write, a lost page or a flipped bit has spoiled is
 * passed over to the next whole record.
 */
export function decodeSegment(bytes: Buffer): SegmentContent {
  const session = sessionOf(bytes);
  const records: JournalRecord[] = [];
  if (session === undefined) return { session, records, end: 0, damagedBytes: 0 };
  let end = HEADER_BYTES;
  let damagedBytes = 0;
  for (let at = end; at + FRAME_BYTES + BODY_BYTES <= bytes.length;) {
    const size = sizeOfRecord(bytes, at);
    if (size === undefined) {
      at++;
      continue;
    }
    damagedBytes += at - end;
    records.push(decodeBody(bytes.subarray(at + FRAME_BYTES, at + size)));
    at += size;
    end = at;
  }
  return { session, records, end, damagedBytes };
}

function payloadOf(record: JournalRecord): Uint8Array {
  switch (record.kind) {
    case "event":
    case "debt":
      return record.payload;
    case "paid":
      return Buffer.alloc(0);
    case "sent":
    case "acked": {
      const last = Buffer.alloc(6);
      last.writeUIntBE(record.last, 0, 6);
      return last;
    }
  }
}

function sessionOf(bytes: Buffer): string | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(0, HEADER_BYTES - 4)) !== bytes.readUInt32BE(HEADER_BYTES - 4)) return undefined;
  return bytes.toString("hex", MAGIC.length, MAGIC.length + SESSION_BYTES);
}

/** Of the whole record that begins there; undefined if none does. */
function sizeOfRecord(bytes: Buffer, at: number): number | undefined {
  const bodyBytes = bytes.readUInt32BE(at + 4);
  const size = FRAME_BYTES + bodyBytes;
  if (bodyBytes < BODY_BYTES || bodyBytes > BODY_BYTES + MAX_PAYLOAD_BYTES || at + size > bytes.length)
    return undefined;
  const kind = KINDS[bytes.readUInt8(at + FRAME_BYTES) - 1];
  if (kind === undefined) return undefined;
  if ((kind === "sent" || kind === "acked") && bodyBytes !== BODY_BYTES + 6) return undefined;
  return crc32(bytes.subarray(at + 4, at + size)) === bytes.readUInt32BE(at) ? size : undefined;
}

function decodeBody(body: Buffer): JournalRecord {
  const kind = KINDS[body.readUInt8(0) - 1] ?? "event";
  const place = body.readUIntBE(1, 6);
  switch (kind) {
    case "event":
    case "debt":
      return { kind, place, payload: body.subarray(BODY_BYTES) };
    case "paid":
      return { kind, place };
    case "sent":
    case "acked":
      return { kind, place, last: body.readUIntBE(BODY_BYTES, 6) };
  }
}
