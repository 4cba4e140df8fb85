export {
  type Applied,
  compose,
  type EffectiveGuardrail,
  judgeModel,
  judgeStreaming,
  judgeTokens,
  judgeUninspectable,
  type Sourced,
  type Violation,
} from "./compose.ts";
export type { ResolvedModel } from "./models.ts";
export { MAX_INSTRUCTIONS, type PatternFault, patternFault } from "./pattern.ts";
export { RedactedJson } from "./redacted-text.ts";
export {
  compileRules,
  MAX_COMPOSED_INSTRUCTIONS,
  MAX_COMPOSED_PATTERNS,
  type TextPattern,
  type TextRules,
  TooManyPatterns,
} from "./rules.ts";
export {
  appliesIn,
  type ContentPattern,
  type Direction,
  type GuardrailSpec,
  MAX_MATCH_CHARS,
  MAX_MODEL_CHARS,
  MAX_MODELS,
  MAX_PATTERN_CHARS,
  MAX_PATTERN_NAME_CHARS,
  MAX_PATTERNS,
  type PatternAction,
  type PatternTarget,
  REDACTED,
  type Uninspectable,
} from "./spec.ts";
export { type Blocked, type Judged, judgeText, type Redactions, TextFilter } from "./text-filter.ts";
export { judgeParts, type JudgedParts, matchesInParts } from "./text-parts.ts";
export { TextWatch } from "./text-watch.ts";
export { takeTurn } from "./turn.ts";
export { MAX_STEPS, Work, type WorkMeter } from "./work.ts";
