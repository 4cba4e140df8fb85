export type { TranslationTarget } from "./codec.ts";
export { type JsonObject, parseExactly } from "./json.ts";
export type { ProtocolWire, WireEvent } from "./model.ts";
export {
  openStreamTranslation,
  type StreamTranslation,
  translateAnswer,
  type TranslatedRequest,
  translateRequest,
} from "./translate.ts";
export { Untranslatable } from "./untranslatable.ts";
export type { AnswerContext } from "./whole-head.ts";
