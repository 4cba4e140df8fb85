export {
  type SourcedGuardrail,
  compose,
  type EffectiveGuardrail,
  judgeHostedTools,
  judgeModalities,
  judgeModel,
  judgeServiceTiers,
  judgeStreaming,
  judgeTokens,
  judgeUninspectable,
  type SourcedRule,
  type Violation,
} from "./compose.ts";
export type { ResolvedModel } from "./model-match.ts";
export { MAX_INSTRUCTIONS, measurePattern, type PatternFault, patternFault } from "./pattern.ts";
export { JsonRedactionWriter } from "./redaction-writer.ts";
export {
  compileRules,
  MAX_COMPOSED_BYTES,
  MAX_COMPOSED_INSTRUCTIONS,
  MAX_COMPOSED_PATTERNS,
  type TextPattern,
  type TextRules,
  TooManyPatterns,
} from "./compile-rules.ts";
export {
  appliesIn,
  type ContentPattern,
  type Direction,
  type GuardrailSpec,
  HOSTED_TOOLS,
  MAX_MATCH_CHARS,
  MAX_MODEL_CHARS,
  MAX_MODELS,
  MAX_PATTERN_CHARS,
  MAX_PATTERN_NAME_CHARS,
  MAX_PATTERNS,
  MODALITIES,
  type PatternAction,
  type PatternTarget,
  REDACTED,
  SERVICE_TIERS,
  type Uninspectable,
} from "./spec.ts";
export { type BlockReason, type TextVerdict, judgeText, type Redactions, TextFilter } from "./text-filter.ts";
export { judgeParts, matchesInParts, matchesNothingWithin, type PartsVerdict } from "./text-parts.ts";
export { MatchRecorder } from "./match-recorder.ts";
export { yieldToEventLoop } from "./event-loop.ts";
export { MAX_STEPS, Work, type WorkMeter } from "./work.ts";
