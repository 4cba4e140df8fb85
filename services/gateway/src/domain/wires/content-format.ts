import type { JsonText } from "../wire/json-texts.ts";

/**
 * Kind of a text.
 *
 * - `exempt`: no content, such as a role, an id or a count. Only with a known value, or in the form of an id.
 * - `text`: judged.
 * - `media`: in the place of media: judged if it encodes text, else uninspectable.
 */
export type ContentKind = "exempt" | "text" | "media";

/** Reads another member of the object that a text is in. */
export type SiblingOf = (name: string) => unknown;

/** Reads the value at a path of the document. */
export type ValueAt = (path: readonly (string | number)[]) => unknown;

/**
 * Classification of the strings, names and numbers of a request, or of an answer. Everything is content unless it is known to be
 * something else: unknown members, and unexpected values of known ones, must not be a way around a guardrail.
 */
export interface TextPlaces {
  /** @param siblingOf value of another member of the object that a text is in */
  kindOf(text: JsonText, value: () => string, siblingOf: SiblingOf): ContentKind;
  /** Side of the conversation that a text assigns to its message, e.g. as a role; undefined if it assigns none. */
  sideOf(text: JsonText, value: () => string): string | undefined;
  /**
   * Message that a string is a part of, and whose parts are read as one text; undefined if there is none. Negative for the system, which
   * comes before all others.
   */
  messageOf(text: JsonText, siblingOf: SiblingOf): number | undefined;
  /**
   * Positions of a part among those of its message, in each order in which models read them: the order of members in JSON does not matter,
   * and translated requests have another one. Compared number by number; undefined if parts are only read as they are written.
   */
  readonly ordersOf?: (text: JsonText, valueAt: ValueAt) => readonly (readonly number[])[];
  /** List that a string is in, whose strings at one place are read as one text; undefined if it is in none. */
  listOf(text: JsonText): string | undefined;
  /** True if a string is the arguments of a tool call: clients parse it as JSON, so it must stay valid. */
  isArguments(text: JsonText): boolean;
  /** Places that cannot be judged, whose values become `null` if rules are enforced. */
  readonly opaque: ReadonlySet<string>;
}

/** Classification of the texts of a wire. */
export interface ContentFormat {
  readonly request: TextPlaces;
  readonly answer: TextPlaces;
  /** True if no texts of an answer are read as one, and none of its places holds media or is opaque. @param json valid JSON */
  isSeparateAnswer(json: string): boolean;
}
