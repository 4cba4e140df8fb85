import { isObject, type JsonObject } from "../../wire/json.ts";
import { positionOf } from "../event-position.ts";
import { AUDIO_DELTA } from "./responses-content.ts";
import type { StreamPiece, StreamPieces } from "../stream-pieces.ts";

/** Kind of a text whose pieces come in several events. */
interface TextKind {
  readonly name: string;
  /** Member of an event with the position of the text in its item, if an item can have several of the kind. */
  readonly position?: "content_index" | "summary_index";
  /** Name of the group of texts that are read as one text. */
  readonly group?: string;
  readonly isJson?: boolean;
  /** Type of the events with its pieces, without `response.` and `.delta`. */
  readonly type: string;
}

/** Group of the texts of all messages: a translated answer can have several. */
const TEXT = "text";
/** Group of the texts of all reasoning. */
const THINKING = "thinking";

const CONTENT: TextKind = { name: "content", position: "content_index", group: TEXT, type: "output_text" };
const REFUSAL: TextKind = { ...CONTENT, type: "refusal" };
const REASONING: TextKind = { ...CONTENT, group: THINKING, type: "reasoning_text" };
const SUMMARY: TextKind = {
  name: "summary",
  position: "summary_index",
  group: THINKING,
  type: "reasoning_summary_text",
};
const ARGUMENTS: TextKind = { name: "arguments", isJson: true, type: "function_call_arguments" };
const INPUT: TextKind = { name: "input", type: "custom_tool_call_input" };

/** Kinds of texts by the type of their events, without `response.` and `.delta`. */
const KINDS: ReadonlyMap<string, TextKind> = new Map(
  [CONTENT, REFUSAL, REASONING, SUMMARY, ARGUMENTS, INPUT].map((kind) => [kind.type, kind]),
);

/** Types of the last event of a stream. */
const LAST: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed", "error"]);

type Path = readonly (string | number)[];
/** Text in an event: its path, its kind, and its position in the item if the event does not say it. */
type Found = readonly [path: Path, kind: TextKind, position: number | undefined];

/**
 * Pieces of the texts of a streamed response. An event that repeats a whole text, such as `response.output_text.done`, is not a piece of that
 * text: the whole texts in all events of its type form a text of their own. The last event is judged like a whole answer.
 */
export const RESPONSES_PIECES: StreamPieces = {
  piecesOf,
  ends(event, key) {
    const { type } = event;
    if (LAST.has(type)) return true;
    if (typeof type !== "string" || event["output_index"] === undefined) return false;
    if (type === "response.output_item.done") return key.startsWith(itemKeyOf(event));
    if (type === "response.content_part.done") return key === keyOf(event, CONTENT);
    if (type === "response.reasoning_summary_part.done") return key === keyOf(event, SUMMARY);
    if (!type.endsWith(".done")) return false;
    return key === deltaKeyOf(event, type.slice(0, -".done".length));
  },
  mayWait: () => false,
  mayOvertake: () => false,
};

function piecesOf(event: JsonObject): readonly StreamPiece[] {
  const { type, delta, part, item } = event;
  const name = typeof type === "string" ? type : "";
  if (name === AUDIO_DELTA) return [];
  if (typeof delta === "string") return [pieceOfDelta(event, name.replace(/\.delta$/, ""))];
  if (name === "response.output_item.added") {
    return foundInItem(item).map((found) => pieceOf(event, found));
  }
  if (name === "response.content_part.added" || name === "response.reasoning_summary_part.added") {
    return foundInPart(part, ["part"], kindOfPart(part)).map((found) => pieceOf(event, found));
  }
  if (!name.endsWith(".done")) return [];
  return foundInDone(event, name)
    .filter(([, { group }]) => group !== undefined)
    .map((found, at) => wholePieceOf(event, found, `${name} ${at}`, `${name} ${found[1].group ?? ""}`));
}

function foundInDone(event: JsonObject, type: string): readonly Found[] {
  const { part, item } = event;
  if (type === "response.output_item.done") return foundInItem(item);
  if (type === "response.content_part.done" || type === "response.reasoning_summary_part.done") {
    return foundInPart(part, ["part"], kindOfPart(part));
  }
  const kind = KINDS.get(type.slice("response.".length, -".done".length));
  return kind === undefined ? [] : foundInPart(event, [], kind);
}

/** Finds the texts of an item. */
function foundInItem(item: unknown): readonly Found[] {
  if (!isObject(item)) return [];
  const { arguments: json, input, content, summary } = item;
  const found: Found[] = [];
  if (typeof json === "string") found.push([["item", "arguments"], ARGUMENTS, undefined]);
  if (typeof input === "string") found.push([["item", "input"], INPUT, undefined]);
  const kind = item["type"] === "reasoning" ? REASONING : CONTENT;
  for (const [at, part] of listOf(content).entries()) {
    found.push(...foundInPart(part, ["item", "content", at], kind === REASONING ? kind : kindOfPart(part), at));
  }
  for (const [at, part] of listOf(summary).entries()) {
    found.push(...foundInPart(part, ["item", "summary", at], SUMMARY, at));
  }
  return found;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function foundInPart(part: unknown, path: Path, kind: TextKind, position?: number): readonly Found[] {
  if (!isObject(part)) return [];
  return ["text", "refusal"]
    .filter((member) => typeof part[member] === "string")
    .map((member) => [[...path, member], member === "refusal" ? REFUSAL : kind, position]);
}

function kindOfPart(part: unknown): TextKind {
  const type = isObject(part) ? part["type"] : undefined;
  if (type === "summary_text") return SUMMARY;
  return type === "reasoning_text" ? REASONING : CONTENT;
}

function pieceOf(event: JsonObject, [path, kind, at]: Found): StreamPiece {
  const { item } = event;
  const { position, group, isJson = false, type } = kind;
  const positioned = at === undefined || position === undefined ? event : { ...event, [position]: at };
  const placed = isObject(item) ? { ...positioned, item_id: item["id"] } : positioned;
  return {
    path,
    key: keyOf(positioned, kind),
    ...(group !== undefined && { group: { name: group, position: positionInGroup(positioned, kind) } }),
    isJson,
    more: (delta) => ({ ...placeOf(placed), type: `response.${type}.delta`, delta }),
  };
}

/** Piece that is a whole text. */
function wholePieceOf(event: JsonObject, found: Found, key: string, group: string): StreamPiece {
  const piece = pieceOf(event, found);
  return { ...piece, key, ...(piece.group && { group: { ...piece.group, name: group } }), isWhole: true };
}

/** Piece in the member `delta` of an event. @param name type of the event, without `.delta` */
function pieceOfDelta(event: JsonObject, name: string): StreamPiece {
  const path = ["delta"];
  const kind = KINDS.get(name.replace(/^response\./, ""));
  if (kind !== undefined) return pieceOf(event, [path, kind, undefined]);
  const type = /^response(?:\.[a-z_]{1,40}){1,3}$/.test(name) ? `${name}.delta` : "response.output_text.delta";
  return { path, key: deltaKeyOf(event, name), more: (delta) => ({ ...placeOf(event), type, delta }) };
}

/** Key of the text whose pieces the events of a type hold. @param name the type, without `.delta` or `.done` */
function deltaKeyOf(event: JsonObject, name: string): string {
  const kind = KINDS.get(name.replace(/^response\./, ""));
  if (kind !== undefined) return keyOf(event, kind);
  return `${itemKeyOf(event)}${name} ${indexOf(event["content_index"])} ${indexOf(event["summary_index"])}`;
}

function keyOf(event: JsonObject, { name, position }: TextKind): string {
  return `${itemKeyOf(event)}${name}${position === undefined ? "" : ` ${indexOf(event[position])}`}`;
}

/** Start of the keys of all texts of an item. */
function itemKeyOf({ output_index: index }: JsonObject): string {
  return `${indexOf(index)} `;
}

/** Position of a text among all texts of a response: by item, and within an item its content after everything else. */
function positionInGroup(event: JsonObject, { name, position }: TextKind): number {
  const part = position === undefined ? 0 : indexOf(event[position]);
  const inItem = name === "content" ? MAX_PARTS + part : part;
  return indexOf(event["output_index"]) * 2 * MAX_PARTS + inItem;
}

/** Bound of the parts of an item, above what fits in an answer. */
const MAX_PARTS = 1_000_000;

/** Position that an event names; the first one if it names none. */
function indexOf(index: unknown): number {
  return positionOf(index) ?? 0;
}

/** Members that say where in the response an event belongs: its item and positions, which never hold text. */
function placeOf(event: JsonObject): JsonObject {
  const { item_id: id } = event;
  const positions = ["sequence_number", "output_index", "content_index", "summary_index"].filter(
    (name) => positionOf(event[name]) !== undefined,
  );
  return {
    ...Object.fromEntries(positions.map((name) => [name, positionOf(event[name])])),
    ...(typeof id === "string" && ITEM_ID.test(id) && { item_id: id }),
  };
}

/** Matches the ids of items that are copied without a guardrail: an id with a long number could be a card number. */
const ITEM_ID = /^(?!.*\d{13})[\w.:/@+-]{1,128}$/;
