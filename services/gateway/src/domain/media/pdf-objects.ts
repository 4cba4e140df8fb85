import type { ImageSize } from "./image-size.ts";

/** Matches the dictionary of a stream that holds objects. */
export const PDF_OBJECT_STREAM = /\/Type\s*\/ObjStm/;
/** Matches the dictionary of a stream that has neither text nor drawings: an image, a font, a profile of colours, metadata. */
export const PDF_NO_CONTENT =
  /\/Subtype\s*\/(?:Image|Type1C|CIDFontType0C|OpenType|XML)|\/Length1\s|\/Alternate|\/Type\s*\/(?:XRef|Metadata)|\/N\s+[134]\b/;
/** Matches a letter that is written as a number in a name: only a file that hides something has one. */
const HIDDEN_LETTER = /#(?:4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])/i;
/** Characters around a count in which its page tree is named. */
const TREE_CHARS = 400;
/** Largest count that is believed. */
const MAX_PAGES = 1_000_000;

/** The objects of a PDF that say how many pages it has. */
export class PdfObjects {
  #pages = 0;
  #statedPages = 0;
  #pageSize: ImageSize | undefined;
  /** False once there is something that cannot be read. */
  areCountable = true;

  /** Number of pages; undefined if it is not known. */
  get pages(): number | undefined {
    const pages = Math.max(this.#pages, this.#statedPages);
    return this.areCountable && pages > 0 ? Math.min(pages, MAX_PAGES) : undefined;
  }

  /** Size of the longest page, in units that are far smaller than pixels; undefined if none is given. */
  get pageSize(): ImageSize | undefined {
    return this.#pageSize;
  }

  /** @param objects undefined for objects that cannot be read */
  read(objects: string | undefined): void {
    if (objects === undefined || HIDDEN_LETTER.test(objects) || objects.includes("/Encrypt")) {
      this.areCountable = false;
      return;
    }
    this.#pages += objects.match(/\/Type\s*\/Page(?![A-Za-z])/g)?.length ?? 0;
    for (const match of objects.matchAll(/\/Count\s+(\d{1,9})/g)) {
      const around = objects.slice(Math.max(0, match.index - TREE_CHARS), match.index + TREE_CHARS);
      if (/\/Type\s*\/Pages/.test(around)) this.#statedPages = Math.max(this.#statedPages, Number(match[1]));
    }
    for (const [, box = ""] of objects.matchAll(/\/MediaBox\s*\[([\d\s.+-]{1,80})\]/g)) this.#readBox(box);
  }

  #readBox(box: string): void {
    const [left = 0, bottom = 0, right = 0, top = 0] = box.trim().split(/\s+/).map(Number);
    const [width, height] = [Math.abs(right - left) * SCALE, Math.abs(top - bottom) * SCALE];
    if (!(Math.min(width, height) >= 1)) return;
    const size = { width, height };
    if (this.#pageSize === undefined || aspectOf(size) > aspectOf(this.#pageSize)) this.#pageSize = size;
  }
}

/** Units of a page size in a point: a provider may make an image of any resolution of a page. */
const SCALE = 100;

function aspectOf({ width, height }: ImageSize): number {
  return Math.max(width, height) / Math.min(width, height);
}

/** Counts the bytes that the strings of a page's content have, in parentheses or in hexadecimal digits. */
export function shownBytes(content: string): number {
  let bytes = 0;
  let depth = 0;
  let isHex = false;
  for (let at = 0; at < content.length; at++) {
    const unit = content.charCodeAt(at);
    if (depth > 0) {
      if (unit === CHAR.backslash) at++;
      else if (unit === CHAR.open) depth++;
      else if (unit === CHAR.close) depth--;
      bytes++;
    } else if (isHex) {
      if (unit === CHAR.greater) isHex = false;
      else bytes += 0.5;
    } else if (unit === CHAR.open) depth = 1;
    else if (unit === CHAR.less) isHex = true;
  }
  return Math.ceil(bytes);
}

const CHAR = { backslash: 0x5c, open: 0x28, close: 0x29, less: 0x3c, greater: 0x3e } as const;
