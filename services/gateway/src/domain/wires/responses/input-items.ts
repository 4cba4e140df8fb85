import { badField } from "../../errors/refusal.ts";
import type { InputCollector } from "../../request/input-collector.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";
import { collectAudio, collectFile, collectImage, hasOnly, isEmpty } from "../chat/message-media.ts";

/** Collects what an item or a part says. @returns false if it may be of any length */
type Collect = (value: JsonObject, path: string, input: InputCollector) => boolean;

interface Known {
  readonly members: ReadonlySet<string>;
  readonly collect: Collect;
}

function known(members: string, collect: Collect): Known {
  return { members: new Set(["type", ...members.split(" ")]), collect };
}

/** Calls of tools that the client runs, and their results. */
const CLIENT_RUN = ["local_shell_call", "local_shell_call_output", "apply_patch_call", "apply_patch_call_output"];

const KNOWN_ITEMS: ReadonlyMap<unknown, Known> = new Map(
  Object.entries({
    message: known("role content id status phase", ({ role, content, id }, path, input) => {
      input.addOther(id);
      if (typeof role !== "string" || role.length > MAX_ROLE_CHARS) return false;
      collectContent(content, `${path}.content`, input);
      return true;
    }),
    function_call: known("id call_id name arguments status", (call, _, input) => collectCall(call, "arguments", input)),
    custom_tool_call: known("id call_id name input status", (call, _, input) => collectCall(call, "input", input)),
    function_call_output: known("id call_id name output status", collectOutput),
    custom_tool_call_output: known("id call_id name output status", collectOutput),
    ...Object.fromEntries(
      CLIENT_RUN.map((type) => [type, known("id call_id action operation output status", collectRun)]),
    ),
    // Encrypted reasoning has no fewer characters than what it says. An id alone refers to what the provider has stored.
    reasoning: known("id summary content encrypted_content status", (item, _, input) => {
      const { id, summary, content, encrypted_content: encrypted } = item;
      input.addOther(id);
      input.addTextsOf(summary ?? []);
      input.addTextsOf(content ?? []);
      if (!isEmpty(id) && isEmpty(encrypted)) input.storedItems++;
      return addText(encrypted, input);
    }),
  } satisfies Record<string, Known>),
);

const KNOWN_PARTS: ReadonlyMap<unknown, Known> = new Map(
  Object.entries({
    input_text: known("text", ({ text }, _, input) => addText(text, input)),
    output_text: known("text annotations logprobs", ({ text, annotations, logprobs }, _, input) => {
      input.addTextsOf(annotations ?? []);
      input.addOther(logprobs);
      return addText(text, input);
    }),
    refusal: known("refusal", ({ refusal }, _, input) => addText(refusal, input)),
    input_image: known("image_url detail file_id", ({ image_url: url, detail, file_id: id }, _, input) => {
      return isEmpty(id) && collectImage({ url, detail }, input);
    }),
    input_file: known("file_data filename file_id file_url detail", (part, _, input) => {
      const { file_data, filename, file_id: id, file_url: url } = part;
      return isEmpty(id) && isEmpty(url) && collectFile({ file_data, filename }, input);
    }),
    input_audio: known("input_audio", ({ input_audio: audio }, _, input) => collectAudio(audio, input)),
  } satisfies Record<string, Known>),
);

/** Length of a role, which templates make a token or two. */
const MAX_ROLE_CHARS = 20;

/**
 * Collects the items of the input: texts; images, audio and files in base64, which count by what they hold and not as text; and
 * everything of unknown shape by its bytes, and additionally as a file, because it may refer to something of any length.
 *
 * @throws Refusal 400 that names the content or part which has no shape that the API knows
 */
export function collectItems(items: readonly JsonObject[], input: InputCollector): void {
  items.forEach((item, index) => {
    input.messages++;
    const { type = "message" } = item;
    collect(KNOWN_ITEMS.get(type), item, `input[${index}]`, input);
  });
}

function collectContent(content: unknown, path: string, input: InputCollector): void {
  if (typeof content === "string") return input.addText(content);
  if (!Array.isArray(content)) throw badField(path, "must be a string or an array of parts");
  content.forEach((part: unknown, index) => {
    if (!isObject(part)) throw badField(`${path}[${index}]`, "must be an object");
    const { prompt_cache_breakpoint: breakpoint, ...rest } = part;
    input.addOther(breakpoint);
    collect(KNOWN_PARTS.get(rest["type"]), rest, `${path}[${index}]`, input);
  });
}

function collect(kind: Known | undefined, value: JsonObject, path: string, input: InputCollector): void {
  if (kind !== undefined && hasOnly(value, kind.members) && kind.collect(value, path, input)) {
    return input.addNames(value, kind.members);
  }
  input.addOther(value);
  input.addMedium({ kind: "file", base64: undefined, mediaType: undefined });
}

function collectCall(call: JsonObject, member: "arguments" | "input", input: InputCollector): boolean {
  input.toolCalls++;
  input.addOther(call["id"]);
  input.addOther(call["call_id"]);
  return addText(call["name"], input) && addText(call[member], input);
}

function collectOutput(
  { id, call_id: callId, name, output }: JsonObject,
  path: string,
  input: InputCollector,
): boolean {
  input.toolCalls++;
  input.addOther(id);
  input.addOther(callId);
  collectContent(output, `${path}.output`, input);
  return addText(name, input);
}

function collectRun({ id, call_id: callId, status, ...said }: JsonObject, _: string, input: InputCollector): boolean {
  input.toolCalls++;
  input.addOther(id);
  input.addOther(callId);
  input.addOther(status);
  input.addTextsOf(said);
  return true;
}

function addText(text: unknown, input: InputCollector): boolean {
  if (typeof text !== "string" && !isEmpty(text)) return false;
  input.addText(text);
  return true;
}
