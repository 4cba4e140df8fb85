export { HOSTED_TOOLS, MODALITIES, SERVICE_TIERS } from "@routeplane/guardrails/spec";
export {
  fromStoredJson,
  fromWrittenJson,
  toBudgetJson,
  toGuardrailJson,
  toPresetJson,
  toRateLimitJson,
  toSpecJson,
} from "./convert-json.ts";
export { guardrailTextFaults, type TextFault } from "./text-faults.ts";
export { isCalendarWindow } from "@routeplane/admission";
export { timeZoneFault } from "./time-zone.ts";
export type { LimitJson } from "./limit-json.ts";
export {
  type BudgetSpec,
  budgetOf,
  guardrailOf,
  MAX_CONCURRENT,
  MAX_SPEC_INTEGER,
  MAX_WINDOW_SECS,
  POLICY_KINDS,
  type PolicyKind,
  type PolicySpec,
  type PresetSpec,
  type RateLimitSpec,
  rateLimitOf,
  type SpecOf,
} from "./spec.ts";
