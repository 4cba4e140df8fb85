import type { JsonObject } from "../wire/json.ts";

/** Piece of a text that goes on in other events. */
export interface StreamPiece {
  /** Path of the piece within its event. */
  readonly path: readonly (string | number)[];
  /** Name of the text that it is of. */
  readonly key: string;
  /** Texts that it is read with as one; undefined for a text that is read by itself. */
  readonly group?: {
    readonly name: string;
    /** Position of the text among them. The pieces of a text that goes over several positions must come in their order. */
    readonly position: number;
  };
  /** True if the text is JSON, and must stay so. */
  readonly isJson?: boolean;
  /** True if the piece is all of its text. */
  readonly isWhole?: boolean;
  /** Event that brings more of the text. It repeats nothing of the event of the piece but types, ids and positions. */
  more(text: string): JsonObject & { readonly type: string };
}

/** Pieces of the texts of a stream whose events have a `type`. */
export interface StreamPieces {
  /** Pieces that an event brings; none if its texts are complete. */
  piecesOf(event: JsonObject): readonly StreamPiece[];
  /** True if what is held of a text must leave before an event. @param isWaiting true if an event waits for this one */
  ends(event: JsonObject, key: string, isWaiting: boolean): boolean;
  /** True for an event that can wait for the next one while a text is open. */
  mayWait(event: JsonObject): boolean;
  /** True for an event that leaves before one that waits. */
  mayOvertake(event: JsonObject): boolean;
}
