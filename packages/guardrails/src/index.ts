export { MAX_INSTRUCTIONS, type PatternFault, patternFault } from "./pattern.ts";
export {
  type ContentPattern,
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
} from "./spec.ts";
