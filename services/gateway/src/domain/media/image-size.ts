/** Size of an image in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Characters of base64 that are decoded: the size comes after the metadata of a JPEG, which rarely have more than 256 KiB. */
const MAX_HEAD_CHARS = 350_000;
/** Characters in which every other format has its size. */
const SHORT_HEAD_CHARS = 64;
/** Bytes in addition to the pixels that an image may have, e.g. for metadata. */
const MAX_METADATA_BYTES = 256 * 1024;
/** Most bytes of a pixel: four channels of 16 bits. */
const MAX_PIXEL_BYTES = 8;
/** Largest side that is believed. */
const MAX_SIDE = 65_535;

/**
 * Reads the size of an image in base64 from its header: PNG, JPEG, GIF or WebP, whatever its media type says. Undefined for any other
 * format, and for a header that cannot be true, because the image has more bytes than that many pixels can take.
 */
export function readImageSize(base64: string): ImageSize | undefined {
  const head = Buffer.from(base64.slice(0, SHORT_HEAD_CHARS), "base64");
  const size = isJpeg(head) ? readJpeg(Buffer.from(base64.slice(0, MAX_HEAD_CHARS), "base64")) : readOther(head);
  if (size === undefined || Math.min(size.width, size.height) < 1) return undefined;
  if (Math.max(size.width, size.height) > MAX_SIDE) return undefined;
  const mostBytes = MAX_METADATA_BYTES + size.width * size.height * MAX_PIXEL_BYTES;
  return base64.length * 0.75 > mostBytes ? undefined : size;
}

function readOther(head: Buffer): ImageSize | undefined {
  if (head.length < 30) return undefined;
  const magic = head.toString("latin1", 0, 16);
  if (magic.startsWith("\x89PNG\r\n\x1a\n") && magic.endsWith("IHDR")) {
    return { width: head.readUInt32BE(16), height: head.readUInt32BE(20) };
  }
  if (/^GIF8[79]a/.test(magic)) return { width: head.readUInt16LE(6), height: head.readUInt16LE(8) };
  if (!/^RIFF[\s\S]{4}WEBPVP8/.test(magic)) return undefined;
  switch (magic[15]) {
    case " ":
      return { width: head.readUInt16LE(26) & 0x3f_ff, height: head.readUInt16LE(28) & 0x3f_ff };
    case "L": {
      const bits = head.readUInt32LE(21);
      return { width: (bits & 0x3f_ff) + 1, height: ((bits >>> 14) & 0x3f_ff) + 1 };
    }
    case "X":
      return { width: head.readUIntLE(24, 3) + 1, height: head.readUIntLE(27, 3) + 1 };
    default:
      return undefined;
  }
}

function isJpeg(head: Buffer): boolean {
  return head.length > 2 && head.readUInt16BE(0) === 0xff_d8;
}

/** Markers of a frame, which has the size; the other three of their range are tables. */
const NO_FRAME = new Set([0xc4, 0xc8, 0xcc]);

function readJpeg(bytes: Buffer): ImageSize | undefined {
  let at = 2;
  while (at + 9 <= bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && !NO_FRAME.has(marker)) {
      return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    // A scan before any frame is not an image.
    if (marker === 0xda) return undefined;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}
