import { readDataUrl, readMediaUrl } from "../data-url.ts";
import type { Dropped } from "../dropped.ts";
import { isAbsent, requireKnown, requireList, requireObject, requireText, textMember } from "../fields.ts";
import type { JsonObject } from "../json.ts";
import type { AudioPart, DocumentPart, ImagePart, MediaSource, RefusalPart, TextPart } from "../model.ts";
import { readAudio, readBreakpoint } from "../openai/read-members.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

type InputPart = TextPart | ImagePart | DocumentPart | AudioPart;

/** Reads the content of a message: a text, or parts. @throws Untranslatable */
export function readMessageContent(
  content: unknown,
  at: string,
  dropped: Dropped,
): readonly (InputPart | RefusalPart)[] {
  return readContent<InputPart | RefusalPart>(content, at, (part, place) => {
    if (part["type"] === "output_text") return readOutputText(part, place, dropped);
    if (part["type"] !== "refusal") return readInputPart(part, place, dropped);
    requireKnown(part, new Set(["type", "refusal"]), place);
    return { type: "refusal", text: requireText(part["refusal"], `${place}.refusal`), at: place };
  });
}

/** Reads content that cannot come from an assistant, e.g. of the result of a tool. @throws Untranslatable */
export function readInputContent(content: unknown, at: string, dropped: Dropped): readonly InputPart[] {
  return readContent(content, at, (part, place) => readInputPart(part, place, dropped));
}

function readContent<Part>(
  content: unknown,
  at: string,
  read: (part: JsonObject, at: string) => Part,
): readonly (Part | TextPart)[] {
  if (typeof content === "string") return [{ type: "text", text: content, at }];
  return requireList(content, at).map((part, index) => read(requireObject(part, `${at}[${index}]`), `${at}[${index}]`));
}

/** Reads a text that the assistant wrote. Its sources and probabilities are skipped, because they are not input. */
function readOutputText(part: JsonObject, at: string, dropped: Dropped): TextPart {
  requireKnown(part, new Set(["type", "text", "annotations", "logprobs"]), at);
  for (const name of ["annotations", "logprobs"]) {
    if (!isAbsent(part[name]) && requireList(part[name], `${at}.${name}`).length > 0) dropped.add(`${at}.${name}`);
  }
  return { type: "text", text: requireText(part["text"], `${at}.text`), at };
}

const INPUT_MEMBERS: ReadonlyMap<unknown, ReadonlySet<string>> = new Map(
  Object.entries({
    input_text: ["text"],
    input_image: ["image_url", "file_id", "detail"],
    input_file: ["file_data", "file_id", "file_url", "filename", "detail"],
    input_audio: ["input_audio"],
  }).map(([type, members]) => [type, new Set(["type", "prompt_cache_breakpoint", ...members])]),
);

function readInputPart(part: JsonObject, at: string, dropped: Dropped): InputPart {
  const { type } = part;
  const members = INPUT_MEMBERS.get(type);
  if (members === undefined) throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  requireKnown(part, members, at);
  const hint = readBreakpoint(part, at, dropped);
  const read = readMedia(part, at, dropped) ?? { type: "text", text: requireText(part["text"], `${at}.text`), at };
  return hint === undefined ? read : { ...read, cacheControl: hint };
}

function readMedia(part: JsonObject, at: string, dropped: Dropped): ImagePart | DocumentPart | AudioPart | undefined {
  if (part["type"] === "input_image") return readImage(part, at);
  if (part["type"] === "input_file") return readFile(part, at, dropped);
  return part["type"] === "input_audio" ? readAudio(part, at) : undefined;
}

function readImage(part: JsonObject, at: string): ImagePart {
  const url = textMember(part, "image_url", at);
  const id = textMember(part, "file_id", at);
  const detail = textMember(part, "detail", at);
  if (url === undefined && id === undefined) throw new Untranslatable(`${at}.image_url`, "must be a string");
  const source: MediaSource = url === undefined ? { kind: "file", id: id ?? "" } : readMediaUrl(url, `${at}.image_url`);
  return { type: "image", source, ...(detail !== undefined && { detail }), at };
}

function readFile(part: JsonObject, at: string, dropped: Dropped): DocumentPart {
  const filename = textMember(part, "filename", at);
  if ((textMember(part, "detail", at) ?? "auto") !== "auto") dropped.add(`${at}.detail`);
  return { type: "document", source: sourceOfFile(part, at), ...(filename !== undefined && { filename }), at };
}

function sourceOfFile(part: JsonObject, at: string): MediaSource {
  const id = textMember(part, "file_id", at);
  if (id !== undefined) return { kind: "file", id };
  const url = textMember(part, "file_url", at);
  if (url !== undefined) return readMediaUrl(url, `${at}.file_url`);
  return readDataUrl(requireText(part["file_data"], `${at}.file_data`), `${at}.file_data`);
}
