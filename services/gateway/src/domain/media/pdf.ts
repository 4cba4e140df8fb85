import { inflate } from "node:zlib";
import { promisify } from "node:util";
import { pause } from "../wire/json.ts";
import type { ImageSize } from "./image-size.ts";
import { PDF_NO_CONTENT, PDF_OBJECT_STREAM, PdfObjects, shownBytes } from "./pdf-objects.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

const inflateAsync = promisify(inflate);

/** A PDF, by what its tokens depend on. */
export interface PdfSize {
  readonly pages: number;
  /** Size of the longest page; undefined if it is not known. */
  readonly pageSize: ImageSize | undefined;
  /** Bytes of the texts of all pages; undefined if they are not known. */
  readonly textBytes: number | undefined;
}

/** Characters of base64 that are read between two turns of the event loop; a multiple of 4. */
const STRETCH_CHARS = 1_000_000;
/** Length in base64 beyond which a file is not read. */
const MAX_CHARS = 24_000_000;
/** Bounds of the streams that are inflated: their number, and the bytes of each. */
const MAX_STREAMS = 2_000;
const MAX_STREAM_BYTES = 1024 ** 2;
/** Least bytes of a page, where pages cannot be counted. */
const LEAST_BYTES_PER_PAGE = 512;

/**
 * Reads the size of a PDF in base64: page objects, also compressed ones, and the texts that its pages show. Where pages cannot be
 * counted, they are bounded by the bytes of the file: it is encrypted, not a PDF, or written so as to hide its pages.
 */
export async function readPdf(base64: string, signal: CancelSignal): Promise<PdfSize> {
  const scan = base64.length > MAX_CHARS ? undefined : new PdfScan(await decode(base64, signal));
  const size = await scan?.read(signal);
  if (size !== undefined) return size;
  const pages = Math.ceil((base64.length * 0.75) / LEAST_BYTES_PER_PAGE);
  return { pages, pageSize: undefined, textBytes: undefined };
}

/** Decodes base64 to one character a byte. */
async function decode(base64: string, signal: CancelSignal): Promise<string> {
  let text = "";
  for (let at = 0; at < base64.length; at += STRETCH_CHARS) {
    if (at > 0) await pause(signal);
    text += Buffer.from(base64.slice(at, at + STRETCH_CHARS), "base64").toString("latin1");
  }
  return text;
}

/** One pass over the objects and streams of a file. */
class PdfScan {
  readonly #text: string;
  readonly #objects = new PdfObjects();
  #streams = 0;
  #textBytes: number | undefined = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** @returns undefined if the pages cannot be counted */
  async read(signal: CancelSignal): Promise<PdfSize | undefined> {
    const text = this.#text;
    let at = 0;
    let pausedAt = 0;
    while (this.#objects.areCountable) {
      const keyword = text.indexOf("stream", at);
      const objects = text.slice(at, keyword === -1 ? text.length : keyword);
      this.#objects.read(objects);
      if (keyword === -1) break;
      const end = text.indexOf("endstream", keyword + 6);
      const close = end === -1 ? text.length : end;
      await this.#readStream(objects.slice(objects.lastIndexOf(" obj") + 1), keyword + 6, close);
      at = Math.min(close + 9, text.length);
      if (at - pausedAt < STRETCH_CHARS) continue;
      pausedAt = at;
      await pause(signal);
    }
    const { pages, pageSize } = this.#objects;
    return pages === undefined ? undefined : { pages, pageSize, textBytes: this.#textBytes };
  }

  async #readStream(dictionary: string, start: number, end: number): Promise<void> {
    const isObjects = PDF_OBJECT_STREAM.test(dictionary);
    if (!isObjects && (this.#textBytes === undefined || PDF_NO_CONTENT.test(dictionary))) return;
    const content = await this.#contentOf(dictionary, this.#text.slice(start, end).replace(/^\r?\n/, ""));
    if (isObjects) this.#objects.read(content);
    else this.#textBytes = content === undefined ? undefined : (this.#textBytes ?? 0) + shownBytes(content);
  }

  /** @returns undefined for a stream that cannot be read, or is too large */
  async #contentOf(dictionary: string, body: string): Promise<string | undefined> {
    if (++this.#streams > MAX_STREAMS) return undefined;
    const filter = /\/Filter\s*\[?\s*\/(\w+)\s*(.)?/.exec(dictionary);
    if (filter === null) return body.length <= MAX_STREAM_BYTES ? body : undefined;
    // A second filter, after the first in a list.
    if (filter[1] !== "FlateDecode" || /\/Filter\s*\[\s*\/\w+\s*\//.test(dictionary)) return undefined;
    try {
      const inflated = await inflateAsync(Buffer.from(body, "latin1"), { maxOutputLength: MAX_STREAM_BYTES });
      return inflated.toString("latin1");
    } catch {
      return undefined;
    }
  }
}
