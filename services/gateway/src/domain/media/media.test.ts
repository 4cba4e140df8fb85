import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundSeconds } from "./audio-length.ts";
import { readImageSize } from "./image-size.ts";
import { readPdf } from "./pdf.ts";

const signal = new AbortController().signal;
const base64 = (...parts: readonly (string | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part))).toString(
    "base64",
  );
const uint = (value: number, bytes: number, order: "big" | "little" = "big"): Buffer => {
  const buffer = Buffer.alloc(bytes);
  if (order === "big") buffer.writeUIntBE(value, 0, bytes);
  else buffer.writeUIntLE(value, 0, bytes);
  return buffer;
};

const png = (width: number, height: number, rest = 100) =>
  base64(
    "\x89PNG\r\n\x1a\n",
    uint(13, 4),
    "IHDR",
    uint(width, 4),
    uint(height, 4),
    "\x08\x02\0\0\0",
    Buffer.alloc(rest),
  );
const segment = (marker: number, body: Buffer) =>
  Buffer.concat([Buffer.from([0xff, marker]), uint(body.length + 2, 2), body]);
const jpeg = (width: number, height: number, metadataBytes = 0) =>
  base64(
    "\xff\xd8",
    ...Array.from({ length: Math.ceil(metadataBytes / 60_000) }, () => segment(0xe1, Buffer.alloc(60_000, 0xff))),
    segment(0xc4, Buffer.alloc(20)),
    segment(0xc2, Buffer.concat([Buffer.from([8]), uint(height, 2), uint(width, 2), Buffer.alloc(10)])),
    Buffer.alloc(500),
  );
const webp = (kind: string, body: Buffer) => base64("RIFF", uint(100, 4, "little"), "WEBPVP8", kind, uint(50, 4), body);

describe("the size of an image", () => {
  it.each<[string, string]>([
    ["PNG", png(640, 480)],
    ["JPEG", jpeg(640, 480)],
    ["JPEG behind 120 kB of metadata", jpeg(640, 480, 120_000)],
    ["GIF", base64("GIF89a", uint(640, 2, "little"), uint(480, 2, "little"), Buffer.alloc(40))],
    [
      "WebP",
      webp(" ", Buffer.concat([Buffer.alloc(6), uint(640, 2, "little"), uint(480, 2, "little"), Buffer.alloc(20)])),
    ],
    [
      "lossless WebP",
      webp("L", Buffer.concat([Buffer.from([0x2f]), uint(639 + (479 << 14), 4, "little"), Buffer.alloc(20)])),
    ],
    [
      "extended WebP",
      webp("X", Buffer.concat([Buffer.alloc(4), uint(639, 3, "little"), uint(479, 3, "little"), Buffer.alloc(20)])),
    ],
  ])("is read from the header of a %s", (_, data) => {
    expect(readImageSize(data)).toEqual({ width: 640, height: 480 });
  });

  it.each<[string, string]>([
    ["an empty text", ""],
    ["no base64", "!!!"],
    ["another format", base64("BM", Buffer.alloc(100))],
    ["a header that breaks off", png(640, 480).slice(0, 20)],
    ["a PNG without pixels", png(0, 480)],
    ["a PNG with absurd sides", png(0x7f_ff_ff_ff, 1)],
    ["a JPEG without a frame", base64("\xff\xd8", segment(0xda, Buffer.alloc(100)))],
    ["a JPEG whose metadata never end", jpeg(640, 480, 900_000)],
    ["a small size of an image of many bytes", png(1, 1, 400_000)],
  ])("is not known for %s", (_, data) => {
    expect(readImageSize(data)).toBeUndefined();
  });

  it("is read, or not known, whatever the bytes", () => {
    const heads = ["", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF89a", "RIFFxxxxWEBPVP8X"];
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 200 }), (head, bytes) => {
        const size = readImageSize(base64(head, Buffer.from(bytes)));
        expect(size === undefined || (size.width > 0 && size.height > 0)).toBe(true);
      }),
    );
  });
});

describe("the length of audio", () => {
  const wav = (sampleRate: number, byteRate: number, frameBytes: number, seconds: number) =>
    base64(
      "RIFF",
      uint(0, 4),
      "WAVELIST",
      uint(4, 4, "little"),
      "abcd",
      "fmt ",
      uint(16, 4, "little"),
      uint(1, 2, "little"),
      uint(1, 2, "little"),
      uint(sampleRate, 4, "little"),
      uint(byteRate, 4, "little"),
      uint(frameBytes, 2, "little"),
      uint(16, 2, "little"),
      Buffer.alloc(16_000 * 2 * seconds),
    );

  it("is read from the header of a WAV file, also after other chunks", () => {
    expect(boundSeconds(wav(16_000, 32_000, 2, 3), "wav")).toBeCloseTo(3, 1);
  });

  it.each<[string, string]>([
    ["one of its rates is absurd", wav(16_000, 4_000_000_000, 2, 3)],
    ["both are", wav(4_000_000_000, 4_000_000_000, 60_000, 3)],
    ["they are 0", wav(0, 0, 0, 3)],
    ["there is no header", base64(Buffer.alloc(96_000))],
  ])("is never less than its bytes can be, though %s", (_, data) => {
    expect(boundSeconds(data, "wav")).toBeGreaterThan(2.9);
  });
});

const PAGE_TEXT = "The gateway judges what a key may ask for. ".repeat(20);
const textOperators = (text: string) => `BT /F1 12 Tf 72 720 Td (${text}) Tj ET`;
const stream = (dictionary: string, body: Buffer) =>
  Buffer.concat([
    Buffer.from(`<< ${dictionary} /Length ${body.length} >>\nstream\n`, "latin1"),
    body,
    Buffer.from("\nendstream\nendobj\n", "latin1"),
  ]);
const page = (index: number) =>
  `${10 + index} 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 90 0 R >>\nendobj\n`;
const pages = (count: number) => Array.from({ length: count }, (_, index) => page(index)).join("");
const tree = (count: number) => `2 0 obj\n<< /Type /Pages /Kids [10 0 R] /Count ${count} >>\nendobj\n`;
const content = (text: string) => stream("/Filter /FlateDecode", deflateSync(Buffer.from(textOperators(text))));

describe("the size of a PDF", () => {
  it("is its pages, their size, and the texts that they show", async () => {
    const image = stream("/Type /XObject /Subtype /Image /Filter /DCTDecode", Buffer.alloc(200_000, "(x)"));
    const pdf = base64("%PDF-1.4\n", tree(3), pages(3), "90 0 obj\n", content(PAGE_TEXT), "91 0 obj\n", image, "%%EOF");
    const { textBytes, ...size } = await readPdf(pdf, signal);
    expect(size).toEqual({ pages: 3, pageSize: { width: 61_200, height: 79_200 } });
    expect(textBytes).toBeGreaterThanOrEqual(PAGE_TEXT.length);
    expect(textBytes).toBeLessThan(PAGE_TEXT.length + 10);
  });

  it("is read from compressed objects too", async () => {
    const objects = deflateSync(Buffer.from(`10 0 11 50 ${tree(7)}${pages(7)}`));
    const pdf = base64(
      "%PDF-1.5\n5 0 obj\n",
      stream("/Type /ObjStm /N 9 /First 10 /Filter /FlateDecode", objects),
      "%%EOF",
    );
    expect(await readPdf(pdf, signal)).toMatchObject({ pages: 7 });
  });

  it("has the pages that its tree states where that is more than there are objects", async () => {
    expect(await readPdf(base64("%PDF-1.4\n", tree(40), pages(1)), signal)).toMatchObject({ pages: 40 });
  });

  it.each<[string, readonly (string | Buffer)[]]>([
    ["encrypted", [tree(1), pages(1), "trailer << /Encrypt 9 0 R >>", Buffer.alloc(50_000)]],
    ["no PDF", [Buffer.alloc(50_000)]],
    ["written with letters as numbers", ["1 0 obj << /Type /P#61ge >>", pages(1), Buffer.alloc(50_000)]],
    [
      "made of objects that do not inflate",
      [pages(1), "5 0 obj\n", stream("/Type /ObjStm /Filter /FlateDecode", Buffer.alloc(50_000))],
    ],
    [
      "a bomb",
      [pages(1), "5 0 obj\n", stream("/Type /ObjStm /Filter /FlateDecode", deflateSync(Buffer.alloc(40_000_000)))],
    ],
  ])("is bounded by its bytes if it is %s", async (_, parts) => {
    const pdf = base64("%PDF-1.4\n", ...parts);
    const expected = Math.ceil((pdf.length * 0.75) / 512);
    expect(await readPdf(pdf, signal)).toEqual({ pages: expected, pageSize: undefined, textBytes: undefined });
  });

  it("has texts of unknown length where a filter is not known, or there are too many bytes", async () => {
    const lzw = stream("/Filter /LZWDecode", Buffer.alloc(100));
    const large = stream("/Filter /FlateDecode", deflateSync(Buffer.alloc(3_000_000)));
    const both = stream("/Filter [/ASCII85Decode /FlateDecode]", Buffer.alloc(100));
    for (const body of [lzw, large, both]) {
      const pdf = base64("%PDF-1.4\n", pages(2), "90 0 obj\n", body);
      expect(await readPdf(pdf, signal)).toMatchObject({ pages: 2, textBytes: undefined });
    }
  });

  it("stops once the request is cancelled", async () => {
    const large = base64("%PDF-1.4\n", Buffer.alloc(5_000_000));
    await expect(readPdf(large, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
  });
});
