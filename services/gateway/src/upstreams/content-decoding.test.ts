import zlib from "node:zlib";
import { expect, describe, it } from "vitest";
import { collect } from "../domain/response/answer-body.ts";
import { startFakeProvider } from "../../test/fake-provider.ts";
import { codingsOf, decode } from "./content-decoding.ts";
import { createHttpUpstream } from "./http-upstream.ts";

const TEXT = Buffer.from(JSON.stringify({ choices: [{ text: "é😀 of many words ".repeat(2_000) }] }));

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function decoded(bytes: Uint8Array, encoding: string | string[] | undefined, size = 1_000): Promise<Buffer> {
  return collect(decode(chunksOf(bytes, size), codingsOf(encoding) ?? expect.fail("unknown")), 10 ** 6);
}

const ENCODERS: readonly [string, (bytes: Uint8Array) => Buffer][] = [
  ["gzip", zlib.gzipSync],
  ["x-gzip", zlib.gzipSync],
  ["deflate", zlib.deflateSync],
  ["deflate", zlib.deflateRawSync],
  ["br", zlib.brotliCompressSync],
  ["zstd", zlib.zstdCompressSync],
];

describe.each(ENCODERS)("an answer encoded as %s", (encoding, encode) => {
  const bytes = encode(TEXT);

  it("is decoded, in whatever case it says so and wherever it is split", async () => {
    for (const size of [1, 7, 1_000_000]) expect(await decoded(bytes, encoding, size)).toEqual(TEXT);
    expect(await decoded(bytes, encoding.toUpperCase())).toEqual(TEXT);
    expect(await decoded(bytes, ` identity , ${encoding}`)).toEqual(TEXT);
  });

  it("is broken where it is truncated or damaged", async () => {
    const broken = { name: "UpstreamFault", kind: "broken", isSent: true };
    for (const end of [3, bytes.length >> 1, bytes.length - 1]) {
      await expect(decoded(bytes.subarray(0, end), encoding)).rejects.toMatchObject(broken);
    }
    const damaged = Uint8Array.from(bytes, (byte, index) => (index > 4 && index % 16 < 8 ? byte ^ 0xff : byte));
    await expect(decoded(damaged, encoding)).rejects.toMatchObject(broken);
  });

  it("is empty if it has no bytes", async () => {
    expect(await decoded(new Uint8Array(), encoding)).toHaveLength(0);
  });
});

it.each([
  ["gzip", zlib.gzipSync],
  ["zstd", zlib.zstdCompressSync],
])(
  "an endless answer encoded as %s is read no further than its bound, however much it decodes to",
  async (encoding, encode) => {
    const member = encode(Buffer.alloc(4 * 1024 ** 2));
    let taken = 0;
    const body = (async function* () {
      for (;;) {
        taken += member.length;
        yield member;
      }
    })();
    await expect(collect(decode(body, codingsOf(encoding) ?? []), 1024 ** 2)).rejects.toMatchObject({ kind: "broken" });
    expect(taken).toBeLessThan(256 * 1024);
  },
);

it("codings are undone from the last to the first, two at most", async () => {
  const both = zlib.brotliCompressSync(zlib.gzipSync(TEXT));
  expect(await decoded(both, "gzip, br")).toEqual(TEXT);
  expect(await decoded(both, ["gzip", "br"])).toEqual(TEXT);
  expect(codingsOf("gzip, br, gzip")).toBe(undefined);
  expect(codingsOf("compress")).toBe(undefined);
});

it("an answer without a label is decoded if it begins like gzip, and else as it is", async () => {
  for (const size of [1, 1_000_000]) {
    expect(await decoded(zlib.gzipSync(TEXT), undefined, size)).toEqual(TEXT);
    expect(await decoded(zlib.gzipSync(TEXT), "Identity", size)).toEqual(TEXT);
    expect(await decoded(TEXT, undefined, size)).toEqual(TEXT);
  }
  expect(await decoded(Buffer.from([0x1f]), undefined)).toEqual(Buffer.from([0x1f]));
});

it("the events of a compressed stream arrive as they are flushed", async () => {
  for (const [encoding, open] of [
    ["gzip", () => zlib.createGzip()],
    ["br", () => zlib.createBrotliCompress()],
    ["zstd", () => zlib.createZstdCompress()],
  ] as const) {
    const next = Promise.withResolvers<void>();
    const server = await startFakeProvider(async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": encoding });
      const compressor = open();
      compressor.pipe(response);
      compressor.write("data: one\n\n");
      compressor.flush();
      await next.promise;
      compressor.end("data: two\n\n");
    });
    const upstream = createHttpUpstream({ baseUrl: new URL(server.baseUrl), apiKey: undefined });
    try {
      const { signal } = new AbortController();
      const { body } = await upstream.send({ wire: "chat", model: "m", body: "{}", streamed: true, signal });
      const chunks = body[Symbol.asyncIterator]();
      expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe("data: one\n\n");
      next.resolve();
      expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe("data: two\n\n");
      expect((await chunks.next()).done).toBe(true);
    } finally {
      await upstream.close();
      await server.close();
    }
  }
});
