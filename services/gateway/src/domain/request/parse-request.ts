import { Refusal } from "../errors/refusal.ts";
import { measureMedia, type Medium } from "../media/media.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { isObject, JsonTooComplex, MAX_REQUEST_VALUES, parseJson, pause, withPauses } from "../wire/json.ts";
import type { Member } from "../wire/json-members.ts";
import { type JsonOutline, outlineJson } from "../wire/json-outline.ts";
import { decodeUtf8, NotUtf8, withoutByteOrderMark } from "../wire/request-text.ts";
import type { RequestFormat } from "../wires/request-format.ts";
import type { Wire } from "../wires/wire.ts";
import { effectOf } from "./governed-members.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { InputCollector, SentInput } from "./input-collector.ts";
import { checkMemberNames } from "./member-names.ts";

/** Size from which a body is read in several turns of the event loop. */
const LARGE_BODY_BYTES = 256 * 1024;
/** Bound of the members of the top level; the APIs know some forty. */
const MAX_MEMBERS = 1_000;

/**
 * Parses the body of an inference request. A large one is read with pauses in which other requests have their turn.
 *
 * @param received body as the client sent it
 * @param signal stops the work once it is aborted
 * @throws Refusal 400 that names the field; the reason of the signal
 */
export async function parseRequest(wire: Wire, received: Uint8Array, signal: CancelSignal): Promise<InferenceRequest> {
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
  const scanned = scanMembers(wire.request, outline, signal);
  const members = scanned instanceof Promise ? await scanned : scanned;
  const { collected, ...read } = wire.request.read({ body, text, members });
  const input = collected.sentMedia.length === 0 ? inputOf(collected, []) : await measureInput(collected, signal);
  return { ...read, wire, bytes, text, members, input };
}

/** Measures the media of the collected input. @throws the reason of the signal */
async function measureInput(collected: InputCollector, signal: CancelSignal): Promise<SentInput> {
  return inputOf(collected, await measureMedia(collected.sentMedia, signal));
}

function inputOf(collected: InputCollector, media: readonly Medium[]): SentInput {
  const { texts, otherBytes, messages, toolCalls, storedItems } = collected;
  return { texts, otherBytes, messages, toolCalls, storedItems, media };
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
function scanMembers(
  { readMembers, namesWithin }: RequestFormat,
  outline: JsonOutline,
  signal: CancelSignal,
): readonly Member[] | Promise<readonly Member[]> {
  const isUnique = (name: string): boolean => effectOf(name, readMembers) !== undefined;
  const names = checkMemberNames(outline.text, { known: readMembers, isUnique, within: namesWithin });
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
