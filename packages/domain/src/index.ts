export {
  DomainError,
  type ErrorCode,
  type ErrorReason,
  type FieldFault,
  invalidField,
  notFound,
  type ReplacedToken,
  SERVICE_CREDENTIAL_MISUSED,
  serviceCredentialMisused,
  tokenReplaced,
} from "./errors.ts";
export { FairSlots, type FairSlotsOptions } from "./fair-slots.ts";
export { type Id, idBound, type IdKind, idTime, newId, parseId, requireId } from "./ids.ts";
export { ceilToMicroUsd, microToNano, nanoToMicro, picoToNanoCeil } from "./money.ts";
export { type DefinedFields, definedFields } from "./defined-fields.ts";
export {
  MAX_ATTEMPTS,
  MAX_GUARDRAIL_DECISIONS,
  MAX_NAME_CHARS,
  MAX_REQUEST_COST_NANO_USD,
  MAX_REQUEST_PRICE_PICO_USD,
  MAX_REQUEST_TOKENS,
  MAX_SERVICE_TIER_CHARS,
  MAX_SHADOW_DENIALS,
  MAX_TOKEN_PRICE_PICO_USD,
  MAX_UPSTREAM_ERROR_CHARS,
  MAX_UPSTREAM_ID_CHARS,
  printableText,
} from "./request-bounds.ts";
export { isTimeZone, type LocalClock, localClock, localDayAt, startOfLocalDay } from "./local-time.ts";
export { foldName, nameFault } from "./names.ts";
export { type JsonFault, StrictJson } from "./strict-json.ts";
export { type Clock, parseTime } from "./time.ts";
