import { isWireName } from "../../guardrails/wire-names.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";
import { positionOf } from "../event-position.ts";
import type { StreamPiece, StreamPieces } from "../stream-pieces.ts";

/** Key of the text of all text blocks, which clients read as one text. */
const TEXT = "text";
/** Key of the text of all thinking. The thinking of a block is sent before the block stops, because a signature may follow it. */
const THINKING = "thinking";

/** Types of the deltas that bring a member. */
const DELTA_TYPES: Readonly<Record<string, string>> = {
  text: "text_delta",
  thinking: "thinking_delta",
  partial_json: "input_json_delta",
};
/** Members of deltas that are not pieces of text. */
const NOT_TEXT: ReadonlySet<string> = new Set(["type", "signature"]);
/** Types of the events after which no text goes on. */
const LAST: ReadonlySet<unknown> = new Set(["message_delta", "message_stop", "error"]);
/** Types of the events whose order must stay. */
const ORDERED: ReadonlySet<unknown> = new Set([
  ...LAST,
  "message_start",
  "content_block_start",
  "content_block_delta",
  "content_block_stop",
]);

/** Pieces of the texts of a streamed message. */
export const MESSAGES_PIECES: StreamPieces = {
  piecesOf,
  ends(event, key, isWaiting) {
    const { type, index, content_block: block } = event;
    if (LAST.has(type)) return true;
    switch (type) {
      case "content_block_stop":
        return key === TEXT ? isWaiting : key.endsWith(` ${indexOf(index)}`);
      case "content_block_start":
        return key === TEXT && !isTextBlock(block);
      case "content_block_delta":
        return key === TEXT && isWaiting && !piecesOf(event).some((piece) => piece.key === TEXT);
      default:
        return false;
    }
  },
  // The next block may continue the text. Until it starts, what is held of the text can be sent in this one.
  mayWait: ({ type }) => type === "content_block_stop",
  mayOvertake: ({ type }) => !ORDERED.has(type),
};

function piecesOf({ type, index, delta, content_block: block, message }: JsonObject): readonly StreamPiece[] {
  if (type === "content_block_start") return piecesOfBlock(block, ["content_block"], index);
  if (type === "message_start") {
    const content = isObject(message) ? message["content"] : undefined;
    if (!Array.isArray(content)) return [];
    return content.flatMap((part: unknown, at) => piecesOfBlock(part, ["message", "content", at], at));
  }
  if (type !== "content_block_delta" || !isObject(delta)) return [];
  return Object.keys(delta)
    .filter((member) => typeof delta[member] === "string" && !NOT_TEXT.has(member))
    .map((member) => pieceOf(["delta", member], member, index));
}

/** Pieces in a block that starts: its text may continue in deltas, and may itself continue the text of the block before it. */
function piecesOfBlock(block: unknown, path: readonly (string | number)[], index: unknown): readonly StreamPiece[] {
  if (!isObject(block)) return [];
  return ["text", "thinking"]
    .filter((member) => typeof block[member] === "string")
    .map((member) => pieceOf([...path, member], member, index));
}

function pieceOf(path: readonly (string | number)[], member: string, index: unknown): StreamPiece {
  const more: StreamPiece["more"] = (text) => {
    const name = isWireName(member, "") || Object.hasOwn(DELTA_TYPES, member) ? member : "text";
    const delta = { type: DELTA_TYPES[name] ?? `${name}_delta`, [name]: text };
    const position = positionOf(index);
    return { type: "content_block_delta", ...(position !== undefined && { index: position }), delta };
  };
  const position = indexOf(index);
  if (member === "text") return { path, key: TEXT, group: { name: TEXT, position }, more };
  const key = `${member} ${position}`;
  return member === "thinking"
    ? { path, key, group: { name: THINKING, position }, more }
    : { path, key, isJson: member === "partial_json", more };
}

function isTextBlock(block: unknown): block is JsonObject {
  return isObject(block) && block["type"] === "text" && typeof block["text"] === "string";
}

/** Position that an event names; the first one if it names none. */
function indexOf(index: unknown): number {
  return positionOf(index) ?? 0;
}
