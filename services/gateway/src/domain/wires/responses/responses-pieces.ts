import { isObject, type JsonObject } from "../../wire/json.ts";
import type { StreamPiece, StreamPieces } from "../typed-stream-guard.ts";

/** Kind of a text that goes on in other events. */
interface TextKind {
  /** Name of the kind, and the member that counts the texts of an item, if there can be several. */
  readonly name: string;
  readonly position?: string;
  readonly isJson?: boolean;
}

const CONTENT: TextKind = { name: "content", position: "content_index" };
const SUMMARY: TextKind = { name: "summary", position: "summary_index" };
const ARGUMENTS: TextKind = { name: "arguments", isJson: true };
const INPUT: TextKind = { name: "input" };

/** Events whose member `delta` is a piece, by type. */
const DELTAS: ReadonlyMap<unknown, TextKind> = new Map([
  ["response.output_text.delta", CONTENT],
  ["response.refusal.delta", CONTENT],
  ["response.reasoning_text.delta", CONTENT],
  ["response.reasoning_summary_text.delta", SUMMARY],
  ["response.function_call_arguments.delta", ARGUMENTS],
  ["response.custom_tool_call_input.delta", INPUT],
]);

/** Events that begin something, by type: the member that has it, with the texts that clients continue by pieces. */
const BEGINNINGS: ReadonlyMap<unknown, readonly [string, readonly (readonly [string, TextKind])[]]> = new Map([
  [
    "response.content_part.added",
    [
      "part",
      [
        ["text", CONTENT],
        ["refusal", CONTENT],
      ],
    ],
  ],
  ["response.reasoning_summary_part.added", ["part", [["text", SUMMARY]]]],
  [
    "response.output_item.added",
    [
      "item",
      [
        ["arguments", ARGUMENTS],
        ["input", INPUT],
      ],
    ],
  ],
]);

/** Types of the last event of a stream. */
const LAST: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed", "error"]);

/** Pieces of the texts of a streamed response. The events that repeat a text whole are judged like a whole answer. */
export const RESPONSES_PIECES: StreamPieces = {
  pieceOf,
  ends(event, key) {
    const { type, output_index: index } = event;
    if (LAST.has(type)) return true;
    // Sources of a text come between its pieces; other events say nothing about it.
    if (index === undefined || type === "response.output_text.annotation.added") return false;
    return key.startsWith(itemKeyOf(event)) && pieceOf(event)?.key !== key;
  },
  mayWait: () => false,
  eventWith(last, text) {
    const { part, item, ...event } = last;
    const piece = pieceOf(last);
    const type = typeof last["type"] === "string" && DELTAS.has(last["type"]) ? last["type"] : deltaOf(piece, part);
    const id = isObject(item) ? { item_id: item["id"] } : {};
    return { ...event, ...id, type, delta: text };
  },
};

function pieceOf(event: JsonObject): StreamPiece | undefined {
  const { type, delta } = event;
  const kind = DELTAS.get(type);
  if (kind !== undefined) return typeof delta === "string" ? piece(event, ["delta"], kind) : undefined;
  const [holder, texts] = BEGINNINGS.get(type) ?? [];
  const begun = holder === undefined ? undefined : event[holder];
  if (holder === undefined || texts === undefined || !isObject(begun)) return undefined;
  const found = texts.find(([member]) => typeof begun[member] === "string");
  return found && piece(event, [holder, found[0]], found[1]);
}

function piece(event: JsonObject, path: readonly string[], { name, position, isJson = false }: TextKind): StreamPiece {
  const index = position === undefined ? "" : ` ${positionOf(event[position])}`;
  return { path, key: `${itemKeyOf(event)}${name}${index}`, isJson };
}

/** Start of the names of all texts of an item. */
function itemKeyOf({ output_index: index }: JsonObject): string {
  return `${positionOf(index)} `;
}

/** Position that an event names; the first one if it names none. */
function positionOf(index: unknown): number {
  return typeof index === "number" ? index : 0;
}

/** Type of the event that continues a text which only began. */
function deltaOf(piece: StreamPiece | undefined, part: unknown): string {
  const member = piece?.path.at(-1);
  if (member === "arguments") return "response.function_call_arguments.delta";
  if (member === "input") return "response.custom_tool_call_input.delta";
  if (member === "refusal") return "response.refusal.delta";
  const type = isObject(part) ? part["type"] : undefined;
  if (type === "summary_text") return "response.reasoning_summary_text.delta";
  return type === "reasoning_text" ? "response.reasoning_text.delta" : "response.output_text.delta";
}
