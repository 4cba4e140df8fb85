import { crc32 } from "node:zlib";

/**
 * Record of a spool segment. A segment is a header followed by records, with nothing between or after them. Numbers are
 * big-endian. The kind is a byte: 1 for `event` to 5 for `acknowledged`, in the order of KINDS.
 *
 *     header  "RPLJRNL1" · 16 bytes id of the process's session · CRC32 of both
 *     record  CRC32 of the rest · u32 length of the body · body
 *     body    u8 kind · u48 offset · payload
 */
export type SpoolRecord =
  /** Usage event. */
  | { readonly kind: "event"; readonly offset: number; readonly payload: Uint8Array }
  /** Settlement that another service has yet to acknowledge, in the encoding of the caller. */
  | { readonly kind: "pendingSettlement"; readonly offset: number; readonly payload: Uint8Array }
  /** Mark: the pending settlement at `offset` was acknowledged. */
  | { readonly kind: "completed"; readonly offset: number }
  /** Mark: the events from `first` to `last` are about to be sent as one batch. */
  | { readonly kind: "sent"; readonly first: number; readonly last: number }
  /** Mark: that batch was acknowledged. */
  | { readonly kind: "acknowledged"; readonly first: number; readonly last: number };

/** Readable content of one segment file. */
export interface SegmentContent {
  /** Id of the session that wrote it, as hexadecimal digits; undefined if the header is not readable. */
  readonly session: string | undefined;
  readonly records: readonly SpoolRecord[];
  /** Position after the last readable record. */
  readonly end: number;
  /** Number of bytes before `end` that are not part of a record. A torn write leaves bytes after `end`, so these are damage. */
  readonly damagedBytes: number;
}

const MAGIC = Buffer.from("RPLJRNL1");
const SESSION_BYTES = 16;
export const HEADER_BYTES = MAGIC.length + SESSION_BYTES + 4;
const FRAME_BYTES = 8;
const OFFSET_BYTES = 6;
const BODY_BYTES = 1 + OFFSET_BYTES;
/** Upper bound of a payload. A record that claims more is damaged. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;

const KINDS = [
  "event",
  "pendingSettlement",
  "completed",
  "sent",
  "acknowledged",
] as const satisfies readonly SpoolRecord["kind"][];

/** @param session 32 hexadecimal digits */
export function encodeHeader(session: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.write(session, MAGIC.length, "hex");
  header.writeUInt32BE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
  return header;
}

/** Returns the number of bytes of an encoded record. */
export function sizeOf(record: SpoolRecord): number {
  if ("payload" in record) return FRAME_BYTES + BODY_BYTES + record.payload.length;
  return FRAME_BYTES + BODY_BYTES + ("last" in record ? OFFSET_BYTES : 0);
}

/** Encodes a record into `bytes` from `at`, which must have room for it. */
export function writeRecord(record: SpoolRecord, bytes: Buffer, at: number): void {
  const body = at + FRAME_BYTES;
  const end = at + sizeOf(record);
  bytes.writeUInt32BE(end - body, at + 4);
  bytes[body] = KINDS.indexOf(record.kind) + 1;
  bytes.writeUIntBE(offsetOf(record), body + 1, OFFSET_BYTES);
  if ("payload" in record) bytes.set(record.payload, body + BODY_BYTES);
  else if ("last" in record) bytes.writeUIntBE(record.last, body + BODY_BYTES, OFFSET_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), at);
}

export function encodeRecord(record: SpoolRecord): Buffer {
  const bytes = Buffer.allocUnsafe(sizeOf(record));
  writeRecord(record, bytes, 0);
  return bytes;
}

/**
 * Reads every whole record. Bytes that a torn write, a lost page or a flipped bit has damaged are skipped up to the next
 * whole record; a record that was not written is never returned.
 */
export function decodeSegment(bytes: Buffer): SegmentContent {
  const session = sessionOf(bytes);
  const records: SpoolRecord[] = [];
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

/** Returns the offset in a record's body: its own, or the first of its batch. */
export function offsetOf(record: SpoolRecord): number {
  return "first" in record ? record.first : record.offset;
}

function sessionOf(bytes: Buffer): string | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(0, HEADER_BYTES - 4)) !== bytes.readUInt32BE(HEADER_BYTES - 4)) return undefined;
  return bytes.toString("hex", MAGIC.length, MAGIC.length + SESSION_BYTES);
}

/** Returns the size of the whole record that begins at `at`; undefined if none does. */
function sizeOfRecord(bytes: Buffer, at: number): number | undefined {
  const bodyBytes = bytes.readUInt32BE(at + 4);
  const size = FRAME_BYTES + bodyBytes;
  if (bodyBytes < BODY_BYTES || bodyBytes > BODY_BYTES + MAX_PAYLOAD_BYTES || at + size > bytes.length)
    return undefined;
  const kind = KINDS[bytes.readUInt8(at + FRAME_BYTES) - 1];
  if (kind === undefined) return undefined;
  if ((kind === "sent" || kind === "acknowledged") && bodyBytes !== BODY_BYTES + OFFSET_BYTES) return undefined;
  return crc32(bytes.subarray(at + 4, at + size)) === bytes.readUInt32BE(at) ? size : undefined;
}

function decodeBody(body: Buffer): SpoolRecord {
  const kind = KINDS[body.readUInt8(0) - 1] ?? "event";
  const offset = body.readUIntBE(1, OFFSET_BYTES);
  switch (kind) {
    case "event":
    case "pendingSettlement":
      return { kind, offset, payload: body.subarray(BODY_BYTES) };
    case "completed":
      return { kind, offset };
    case "sent":
    case "acknowledged":
      return { kind, first: offset, last: body.readUIntBE(BODY_BYTES, OFFSET_BYTES) };
  }
}
