import { isObject, type JsonObject, JsonTooComplex, MAX_REQUEST_VALUES, parseJson, pause } from "../wire/json.ts";
import { type JsonOutline, outlineJson } from "../wire/json-outline.ts";
import { decodeUtf8, NotUtf8, withoutByteOrderMark } from "../wire/request-text.ts";
import { effectOf, isHarmless } from "./governed-members.ts";
import type { Member } from "../wire/json-members.ts";
import { checkMemberNames } from "./member-names.ts";
import { hasSeparateTexts } from "../guardrails/separate-texts.ts";
import { measureMedia, type Medium } from "../media/media.ts";
import { InputCollector, type SentInput } from "./input-collector.ts";
import { collectMessages } from "./message-media.ts";
import { badField, Refusal } from "../errors/refusal.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Size from which a body is read in several turns of the event loop. */
const LARGE_BODY_BYTES = 256 * 1024;
/** Bound of the members of the top level; the API knows some forty. */
const MAX_MEMBERS = 1_000;
/** Bound of `n`, as of the OpenAI API. */
const MAX_CHOICES = 128;
/** Bound of the output of one choice, to which larger values are lowered: no model writes more in one answer. */
const MAX_OUTPUT_TOKENS_PER_CHOICE = 1_000_000;
const MAX_MODEL_CHARS = 256;

/** Name of the output bound in a request. */
export type OutputField = "max_tokens" | "max_completion_tokens";

/** Chat completion request: the body, and the parts of it that the gateway interprets. */
export interface ChatRequest {
  /** Body as the client sent it, but for a byte order mark. */
  readonly bytes: Uint8Array;
  /** Body as text. */
  readonly text: string;
  /** Members of the top level. */
  readonly members: readonly Member[];
  /** Model as the client wrote it. */
  readonly model: string;
  readonly choices: number;
  /**
   * Output bound of each choice: the name that the client used, the value that it wrote, and that value lowered to what any model
   * can write; undefined if the client gave none.
   */
  readonly output: { readonly field: OutputField; readonly requested: number; readonly bounded: number } | undefined;
  readonly streamed: boolean;
  /** True if the client requests the extra chunk with the usage. */
  readonly wantsUsageChunk: boolean;
  readonly streamOptions: Readonly<Record<string, unknown>> | undefined;
  /** Everything that the upstream may count as input. */
  readonly input: SentInput;
  /** True if no texts of its messages are read as one, and none holds media. */
  readonly hasSeparateTexts: boolean;
  /** True if any tool or function is defined. */
  readonly hasTools: boolean;
  readonly hostedTools: readonly HostedTool[];
}

/** Tool that the provider runs and bills, e.g. a search, a code interpreter or a remote server. */
export interface HostedTool {
  /** Path of the member that makes it one, e.g. `tools[0].type`. */
  readonly path: string;
  /** Type of the tool, or name of the member that makes it one. */
  readonly type: string | undefined;
}

/** Members of the top level that the gateway reads or sets. */
const READ_MEMBERS = new Set([
  "model",
  "messages",
  "n",
  "max_tokens",
  "max_completion_tokens",
  "stream",
  "stream_options",
  "tools",
]);

/**
 * Parses a body of POST /v1/chat/completions. A large one is read with pauses in which other requests have their turn.
 *
 * @param received body as the client sent it
 * @param signal stops the work once it is aborted
 * @throws Refusal 400 that names the field; the reason of the signal
 */
export async function parseChatRequest(received: Uint8Array, signal: CancelSignal): Promise<ChatRequest> {
  const bytes = withoutByteOrderMark(received);
  const isLarge = bytes.length > LARGE_BODY_BYTES;
  if (isLarge) await pause(signal);
  const decoded = decode(bytes, signal);
  const text = typeof decoded === "string" ? decoded : await decoded;
  const outline = isLarge ? await parseLargeText(text, signal) : parseText(text);
  const { value: body } = outline;
  if (!isObject(body)) throw new Refusal("invalid_body", "the request body must be a JSON object");
  if (isLarge) await pause(signal);
  if (Object.keys(body).length > MAX_MEMBERS)
    throw new Refusal("invalid_body", `the request body has more than ${MAX_MEMBERS} members`);
  const scanned = scanMembers(outline, signal);
  const members = scanned instanceof Promise ? await scanned : scanned;
  const streamed = optionalBoolean(body, "stream") ?? false;
  const streamOptions = readStreamOptions(body, streamed);
  const messages = readMessages(body);
  const collected = collectInput(body, messages, text, members);
  return {
    bytes,
    text,
    members,
    model: readModel(body),
    choices: optionalInteger(body, "n", MAX_CHOICES) ?? 1,
    output: readOutput(body),
    streamed,
    wantsUsageChunk: streamOptions?.["include_usage"] === true,
    streamOptions,
    input: collected.sentMedia.length === 0 ? inputOf(collected, []) : await measureInput(collected, signal),
    hasSeparateTexts: hasSeparateTexts(messages, members),
    hasTools: hasItems(body["tools"]) || hasItems(body["functions"]),
    hostedTools: readHostedTools(body["tools"]),
  };
}

function hasItems(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}

function decode(bytes: Uint8Array, signal: CancelSignal): string | Promise<string> {
  try {
    const decoded = decodeUtf8(bytes, signal);
    return typeof decoded === "string" ? decoded : decoded.catch(refuseFault);
  } catch (error) {
    return refuseFault(error);
  }
}

function parseText(text: string): JsonOutline {
  try {
    return { text, value: parseJson(text, MAX_REQUEST_VALUES) };
  } catch (error) {
    return refuseFault(error);
  }
}

async function parseLargeText(text: string, signal: CancelSignal): Promise<JsonOutline> {
  try {
    return await withPauses(outlineJson(text, MAX_REQUEST_VALUES), signal);
  } catch (error) {
    return refuseFault(error);
  }
}

/** Refuses a body for a fault of its encoding or its JSON. @throws Refusal; any other error as it is */
function refuseFault(error: unknown): never {
  if (error instanceof NotUtf8 || error instanceof JsonTooComplex) {
    throw new Refusal("invalid_body", `the request body ${error.message}`);
  }
  if (error instanceof SyntaxError) throw new Refusal("invalid_body", "the request body is not JSON");
  throw error;
}

/** Finds the members of the top level, and checks all names. @returns a promise where that takes pauses */
function scanMembers(outline: JsonOutline, signal: CancelSignal): readonly Member[] | Promise<readonly Member[]> {
  const names = checkMemberNames(outline.text, READ_MEMBERS, (name) => effectOf(name) !== undefined);
  const { done, value } = names.next();
  if (done === true) return membersIn(outline, value);
  return pause(signal).then(async () => membersIn(outline, await withPauses(names, signal)));
}

/** Members by their positions in the text that the client wrote. */
function membersIn({ sourceOf }: JsonOutline, members: readonly Member[]): readonly Member[] {
  if (sourceOf === undefined) return members;
  return members.map(({ key, nameStart, start, end }) => ({
    key,
    nameStart: sourceOf(nameStart),
    start: sourceOf(start),
    end: sourceOf(end),
  }));
}

/** Runs work to its end, with a pause at each of its yields. @throws the reason of the signal once it is aborted */
async function withPauses<T>(work: Generator<undefined, T>, signal: CancelSignal): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await pause(signal);
  }
}

function readModel(body: JsonObject): string {
  const { model } = body;
  if (typeof model !== "string" || model.trim() === "") throw badField("model", "must be a string that names a model");
  if (model.length > MAX_MODEL_CHARS) throw badField("model", `must be at most ${MAX_MODEL_CHARS} characters long`);
  return model;
}

function readMessages(body: JsonObject): readonly JsonObject[] {
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) throw badField("messages", "must be a non-empty array");
  messages.forEach((message, index) => {
    if (!isObject(message)) throw badField(`messages[${index}]`, "must be an object");
  });
  return messages as JsonObject[];
}

function readOutput(body: JsonObject): ChatRequest["output"] {
  const newer = readBound(body, "max_completion_tokens");
  const older = readBound(body, "max_tokens");
  if (newer !== undefined && older !== undefined)
    throw badField("max_tokens", "and 'max_completion_tokens' must not both be given");
  return newer ?? older;
}

function readBound(body: JsonObject, field: OutputField): ChatRequest["output"] {
  const requested = optionalInteger(body, field, Number.MAX_SAFE_INTEGER);
  if (requested === undefined) return undefined;
  return { field, requested, bounded: Math.min(requested, MAX_OUTPUT_TOKENS_PER_CHOICE) };
}

function readStreamOptions(body: JsonObject, streamed: boolean): JsonObject | undefined {
  const options = body["stream_options"] ?? undefined;
  if (options === undefined) return undefined;
  if (!isObject(options)) throw badField("stream_options", "must be an object");
  if (!streamed) throw badField("stream_options", "is only allowed when 'stream' is true");
  optionalBoolean(options, "include_usage", "stream_options.include_usage");
  return options;
}

function optionalBoolean(body: JsonObject, field: string, path = field): boolean | undefined {
  const value = body[field] ?? undefined;
  if (value !== undefined && typeof value !== "boolean") throw badField(path, "must be true or false");
  return value;
}

function optionalInteger(body: JsonObject, field: string, max: number): number | undefined {
  const value = body[field] ?? undefined;
  if (value === undefined) return undefined;
  // A whole number beyond every bound is valid: it is lowered later.
  const number = typeof value === "number" && value > max && max === Number.MAX_SAFE_INTEGER ? max : value;
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 1 && number <= max) return number;
  throw badField(
    field,
    max === Number.MAX_SAFE_INTEGER ? "must be a whole number >= 1" : `must be a whole number from 1 to ${max}`,
  );
}

/** Members whose JSON models read as text. */
const TEXT_MEMBERS = new Set(["tools", "functions", "response_format"]);
/** Members that models do not read, but for a word, where their value is short. */
const PARAMETERS = new Set([
  "frequency_penalty",
  "logprobs",
  "max_completion_tokens",
  "max_tokens",
  "n",
  "parallel_tool_calls",
  "presence_penalty",
  "prompt_cache_key",
  "reasoning_effort",
  "safety_identifier",
  "seed",
  "service_tier",
  "store",
  "stream",
  "stream_options",
  "temperature",
  "top_k",
  "top_logprobs",
  "top_p",
  "user",
  "verbosity",
]);
/** Bound of such a value. */
const MAX_PARAMETER_CHARS = 80;

/** Measures the media of the collected input. @throws the reason of the signal */
async function measureInput(collected: InputCollector, signal: CancelSignal): Promise<SentInput> {
  return inputOf(collected, await measureMedia(collected.sentMedia, signal));
}

function inputOf(collected: InputCollector, media: readonly Medium[]): SentInput {
  const { texts, otherBytes, messages, toolCalls } = collected;
  return { texts, otherBytes, messages, toolCalls, media };
}

/** Collects the input of a request. Members beside the messages that add input count as a file each: the operator has allowed them. */
function collectInput(
  body: JsonObject,
  messages: readonly JsonObject[],
  text: string,
  members: readonly Member[],
): InputCollector {
  const input = new InputCollector();
  collectMessages(messages, input);
  for (const { key, start, end } of members) {
    const name = key.toLowerCase();
    if (key === "messages" || key === "model") continue;
    if (PARAMETERS.has(key) && end - start <= MAX_PARAMETER_CHARS) continue;
    const json = text.slice(start, end);
    if (TEXT_MEMBERS.has(key)) input.addText(json);
    else input.addOther(key + json);
    if (effectOf(name) !== "input" || isHarmless(name, body[key])) continue;
    input.addMedium({ kind: "file", base64: undefined, mediaType: undefined });
  }
  return input;
}

/** Members of a tool that the client runs. */
const CLIENT_TOOL = new Set(["type", "function", "custom", "strict", "cache_control"]);

/** Finds the tools that are neither functions nor custom tools, which the client runs. */
function readHostedTools(tools: unknown): readonly HostedTool[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) return [{ path: "tools", type: undefined }];
  return tools.flatMap((tool: unknown, index): HostedTool[] => {
    if (!isObject(tool)) return [{ path: `tools[${index}]`, type: undefined }];
    const { type } = tool;
    const hostedMember = Object.keys(tool).find((name) => !CLIENT_TOOL.has(name));
    if (type !== "function" && type !== "custom") {
      return [{ path: `tools[${index}].type`, type: typeof type === "string" ? type : hostedMember }];
    }
    return hostedMember === undefined ? [] : [{ path: `tools[${index}].${hostedMember}`, type: hostedMember }];
  });
}
