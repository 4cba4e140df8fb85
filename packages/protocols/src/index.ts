export type * from "./codec.ts";
export { Dropped } from "./dropped.ts";
export { isObject, type JsonObject, parseExactly } from "./json.ts";
export type * from "./model.ts";
export { Untranslatable } from "./untranslatable.ts";
