/** What a policy of kind `guardrail` says. An absent member rules nothing. */
export interface GuardrailSpec {
  /** Only these models; an empty list allows none. See `models.ts` for how an entry is read. */
  readonly modelAllow?: readonly string[];
  /** Not these models, whatever else allows them. */
  readonly modelDeny?: readonly string[];
  /** Input and output tokens of one request together. */
  readonly maxRequestTokens?: number;
  /** False: no streams. */
  readonly allowStreaming?: boolean;
  readonly contentPatterns?: readonly ContentPattern[];
  /** Rule for content that patterns cannot be matched against. By default, see `blocksUninspectable`. */
  readonly uninspectable?: Uninspectable;
}

/** Treatment of images, audio, binary files, references to content elsewhere and the like. */
export type Uninspectable = "block" | "pass";

export interface ContentPattern {
  /** Unique within its guardrail; what a denial calls it. */
  readonly name: string;
  /** In the RE2 dialect. */
  readonly pattern: string;
  readonly action: PatternAction;
  readonly appliesTo: PatternTarget;
}

/** `block` refuses the text; `redact` puts `REDACTED` in the place of what matches. */
export type PatternAction = "block" | "redact";
export type PatternTarget = "request" | "response" | "both";
/** Direction in which content passes. */
export type Direction = Exclude<PatternTarget, "both">;

export function appliesIn(direction: Direction, { appliesTo }: ContentPattern): boolean {
  return appliesTo === "both" || appliesTo === direction;
}

/** Says nothing of it, a guardrail blocks what it cannot inspect where one of its patterns blocks. */
export function blocksUninspectable(
  { uninspectable, contentPatterns = [] }: GuardrailSpec,
  direction: Direction,
): boolean {
  if (uninspectable !== undefined) return uninspectable === "block";
  return contentPatterns.some((pattern) => pattern.action === "block" && appliesIn(direction, pattern));
}

/** Stands where a redacted match stood. */
export const REDACTED = "[REDACTED]";

/** Bounds of one guardrail. Characters are UTF-16 code units here and everywhere in this package. */
export const MAX_MODELS = 100;
export const MAX_MODEL_CHARS = 256;
export const MAX_PATTERNS = 50;
export const MAX_PATTERN_CHARS = 512;
export const MAX_PATTERN_NAME_CHARS = 64;

/**
 * How much of a match can be redacted, and the most text that is ever held back from a stream. A longer match is still seen
 * (and blocked, if its pattern blocks), but only its last so many characters are redacted: what came before has left.
 */
export const MAX_MATCH_CHARS = 512;
