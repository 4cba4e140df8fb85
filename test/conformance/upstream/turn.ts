/** Part of an answer that every wire can express. */
export type AnswerBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly text: string; readonly signature: string }
  | { readonly type: "tool"; readonly id: string; readonly name: string; readonly input: object };

/** Answer of the scripted upstream to one request. */
export interface Turn {
  readonly blocks: readonly AnswerBlock[];
  /** Reason of the end; by default `tools` with a tool call among the blocks, else `end`. */
  readonly stop?: "end" | "tools" | "length";
  /** True if a stream breaks off with an error event after half of its pieces. */
  readonly breaksOff?: boolean;
}

/** Tokens that every turn reports: whole prompt, its parts read from and written to the cache, whole output, its reasoning part. */
export const USAGE = { prompt: 21, cached: 5, cacheWrite: 3, output: 9, reasoning: 2 } as const;

/** Error that breaks a stream off. */
export const STREAM_ERROR = "The scripted upstream is overloaded.";

export function stopOf({ blocks, stop }: Turn): "end" | "tools" | "length" {
  return stop ?? (blocks.some(({ type }) => type === "tool") ? "tools" : "end");
}

/** Splits a text into pieces of at most seven characters, as models send it; no surrogate pair is split. */
export function piecesOf(text: string): readonly string[] {
  return text.match(/.{1,7}/gsu) ?? [];
}
