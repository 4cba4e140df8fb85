import type { MediaSource } from "./model.ts";
import { Untranslatable } from "./untranslatable.ts";

/** Reads a URL of an image or document: a data URL with its bytes, or an address. @throws Untranslatable */
export function readMediaUrl(url: string, at: string): MediaSource {
  if (/^https?:/i.test(url)) return { kind: "url", url };
  return readDataUrl(url, at);
}

/** Reads `data:<type>;base64,<data>`. @throws Untranslatable for anything else */
export function readDataUrl(url: string, at: string): MediaSource {
  const comma = url.slice(0, 200).indexOf(",");
  const head = /^data:([\w.+-]+\/[\w.+-]+)(?:;[\w.+-]+=[\w.+-]+)*;base64$/i.exec(url.slice(0, Math.max(0, comma)));
  if (head?.[1] === undefined) throw new Untranslatable(at, "must be an http or https URL, or a data URL in base64");
  return { kind: "base64", mediaType: head[1].toLowerCase(), data: url.slice(comma + 1) };
}

/** @param data bytes in base64 */
export function toDataUrl(mediaType: string, data: string): string {
  return `data:${mediaType};base64,${data}`;
}
