import type { PartStart } from "./model.ts";

/** Arguments of a call without arguments, because clients parse them as JSON. */
export const NO_ARGUMENTS = "{}";

/** True for the call of a function; false for that of a custom tool, whose input is any text. */
export function isFunction(start: PartStart): boolean {
  return start.type === "tool_call" && start.kind === "function";
}
