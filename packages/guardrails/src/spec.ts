/** Spec of a policy of kind `guardrail`. An absent member restricts nothing. */
export interface GuardrailSpec {
  /** Models that are allowed; an empty list allows none. `matchesModel` defines how an entry is matched. */
  readonly modelAllow?: readonly string[];
  /** Models that are denied, even if another rule allows them. */
  readonly modelDeny?: readonly string[];
  /** Maximum input and output tokens of a request together. */
  readonly maxRequestTokens?: number;
  /** False if streams are refused. */
  readonly allowStreaming?: boolean;
  readonly contentPatterns?: readonly ContentPattern[];
  /** Rule for content that patterns cannot be matched against. `blocksUninspectable` defines the default. */
  readonly uninspectable?: Uninspectable;
  /** Service tiers that a request may ask for, of `SERVICE_TIERS`; an empty list allows none. */
  readonly serviceTierAllow?: readonly string[];
  /** Kinds of output that a request may ask for, of `MODALITIES`; an empty list allows none. */
  readonly modalityAllow?: readonly string[];
  /** Tools run by the provider that a request may use, of `HOSTED_TOOLS`; an empty list allows none. */
  readonly hostedToolAllow?: readonly string[];
}

/** Tiers at which a provider may serve a request that names none. Which one is a setting of the operator's account at the provider. */
export const UNNAMED_TIERS = ["auto", "default", "standard", "standard_only", "on_demand"] as const;
export const SERVICE_TIERS = [
  ...UNNAMED_TIERS,
  "flex",
  "priority",
  "scale",
  "performance",
  "reserved",
  "fast",
] as const;
/** Kinds of output; a request that names none asks for text. */
export const MODALITIES = ["text", "audio", "image", "video"] as const;
/** Tools that a provider runs and bills, without version. */
export const HOSTED_TOOLS = [
  "web_search",
  "web_fetch",
  "file_search",
  "code_interpreter",
  "computer_use",
  "image_generation",
  "mcp",
] as const;

/** Treatment of images, audio, binary files, references to content elsewhere and the like. */
export type Uninspectable = (typeof UNINSPECTABLE_RULES)[number];
export const UNINSPECTABLE_RULES = ["block", "pass"] as const;

export interface ContentPattern {
  /** Name, unique within its guardrail, by which a denial names it. */
  readonly name: string;
  /** Regular expression in the RE2 dialect. */
  readonly pattern: string;
  readonly action: PatternAction;
  readonly appliesTo: PatternTarget;
}

/** Action on a match: `block` refuses the text, `redact` replaces the match by `REDACTED`. */
export type PatternAction = (typeof PATTERN_ACTIONS)[number];
export const PATTERN_ACTIONS = ["block", "redact"] as const;
export type PatternTarget = (typeof PATTERN_TARGETS)[number];
export const PATTERN_TARGETS = ["request", "response", "both"] as const;
/** Direction in which content passes. */
export type Direction = Exclude<PatternTarget, "both">;

export function appliesIn(direction: Direction, { appliesTo }: ContentPattern): boolean {
  return appliesTo === "both" || appliesTo === direction;
}

/** True if a guardrail blocks content that it cannot inspect. By default it does if one of its patterns blocks in that direction. */
export function blocksUninspectable(
  { uninspectable, contentPatterns = [] }: GuardrailSpec,
  direction: Direction,
): boolean {
  if (uninspectable !== undefined) return uninspectable === "block";
  return contentPatterns.some((pattern) => pattern.action === "block" && appliesIn(direction, pattern));
}

/** Text in place of a redacted match. */
export const REDACTED = "[REDACTED]";

/** Bounds of one guardrail. Characters are UTF-16 code units here and everywhere in this package. */
export const MAX_MODELS = 100;
export const MAX_MODEL_CHARS = 256;
export const MAX_PATTERNS = 50;
export const MAX_PATTERN_CHARS = 512;
export const MAX_PATTERN_NAME_CHARS = 64;

/**
 * Maximum part of a match that can be redacted, and maximum text that is held back from a stream. A longer match is still detected
 * (and blocked, if its pattern blocks), but only its last 512 characters are redacted: those before have left.
 */
export const MAX_MATCH_CHARS = 512;
