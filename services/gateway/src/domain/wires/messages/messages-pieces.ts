import { isObject, type JsonObject } from "../../wire/json.ts";
import type { StreamPiece, StreamPieces } from "../typed-stream-guard.ts";

/** Pieces of text blocks: clients append them, so that all of a message are one text. */
const TEXT = "text";

/** Deltas whose text is continued by the next one, by type: the member that has it, and the text that it is of. */
const DELTAS: ReadonlyMap<unknown, { readonly member: string; readonly keyOf: (index: unknown) => string }> = new Map([
  ["text_delta", { member: "text", keyOf: () => TEXT }],
  ["thinking_delta", { member: "thinking", keyOf: (index: unknown) => `thinking ${String(index)}` }],
  ["input_json_delta", { member: "partial_json", keyOf: (index: unknown) => `json ${String(index)}` }],
]);

/** Pieces of the texts of a streamed message. */
export const MESSAGES_PIECES: StreamPieces = {
  pieceOf({ type, index, delta, content_block: block }): StreamPiece | undefined {
    if (type === "content_block_start" && isTextBlock(block)) {
      return { path: ["content_block", "text"], key: TEXT, isJson: false };
    }
    if (type !== "content_block_delta" || !isObject(delta)) return undefined;
    const known = DELTAS.get(delta["type"]);
    if (known === undefined || typeof delta[known.member] !== "string") return undefined;
    const isJson = delta["type"] === "input_json_delta";
    return { path: ["delta", known.member], key: known.keyOf(index), isJson };
  },
  ends({ type, index, content_block: block }, key) {
    switch (type) {
      case "content_block_stop":
        return key !== TEXT && key.endsWith(` ${String(index)}`);
      case "content_block_start":
        return key === TEXT && !isTextBlock(block);
      case "content_block_delta":
      case "ping":
        return false;
      default:
        return true;
    }
  },
  // The next block may continue the text: what is held of it can leave in this one until then.
  mayWait: ({ type }) => type === "content_block_stop",
  eventWith({ index, delta }, text) {
    const type = isObject(delta) ? delta["type"] : "text_delta";
    const member = DELTAS.get(type)?.member ?? "text";
    return { type: "content_block_delta", index, delta: { type, [member]: text } };
  },
};

function isTextBlock(block: unknown): block is JsonObject {
  return isObject(block) && block["type"] === "text" && typeof block["text"] === "string";
}
